//! Orders in memory: create, get, list, watch, delete.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use decklog_capture::layer::AuditContext;
use futures_util::stream;
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// Namespace and name to order.
type Orders = BTreeMap<(String, String), Value>;

#[derive(Clone)]
struct Shop {
    orders: Arc<Mutex<Orders>>,
    changes: broadcast::Sender<Value>,
}

pub(crate) fn routes() -> Router {
    let shop = Shop { orders: Arc::default(), changes: broadcast::Sender::new(64) };
    Router::new()
        .route("/apis/shop.example/v1/namespaces/{namespace}/orders", get(list).post(create))
        .route("/apis/shop.example/v1/namespaces/{namespace}/orders/{name}", get(read).delete(delete))
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource") })
        .with_state(shop)
}

impl Shop {
    fn orders(&self) -> std::sync::MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code.as_u16()});
    (code, Json(status)).into_response()
}

async fn create(State(shop): State<Shop>, Path(namespace): Path<String>, context: Option<AuditContext>, body: Bytes) -> Response {
    let Ok(mut order) = serde_json::from_slice::<Value>(&body) else {
        return failure(StatusCode::BAD_REQUEST, "BadRequest", "the body is not JSON");
    };
    let Some(name) = order["metadata"]["name"].as_str().map(str::to_owned) else {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "metadata.name: Required value");
    };
    (order["apiVersion"], order["kind"], order["metadata"]["namespace"]) = (json!("shop.example/v1"), json!("Order"), json!(namespace));
    if let Some(context) = context {
        context.annotate("shop.example/items", order["spec"]["items"].as_array().map_or(0, Vec::len).to_string());
    }
    shop.orders().insert((namespace, name), order.clone());
    // Without a watcher nobody is told.
    let _ = shop.changes.send(json!({"type": "ADDED", "object": order}));
    (StatusCode::CREATED, Json(order)).into_response()
}

async fn read(State(shop): State<Shop>, Path(key): Path<(String, String)>) -> Response {
    match shop.orders().get(&key) {
        Some(order) => Json(order).into_response(),
        None => failure(StatusCode::NOT_FOUND, "NotFound", &format!("orders.shop.example \"{}\" not found", key.1)),
    }
}

async fn delete(State(shop): State<Shop>, Path(key): Path<(String, String)>) -> Response {
    match shop.orders().remove(&key) {
        Some(order) => Json(order).into_response(),
        None => failure(StatusCode::NOT_FOUND, "NotFound", &format!("orders.shop.example \"{}\" not found", key.1)),
    }
}

async fn list(State(shop): State<Shop>, Path(namespace): Path<String>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    if query.get("watch").is_some_and(|watch| !matches!(watch.as_str(), "0" | "false")) {
        let changes = stream::unfold(shop.changes.subscribe(), |mut changes| async {
            let change = changes.recv().await.ok()?;
            Some((Ok::<_, std::convert::Infallible>(format!("{change}\n")), changes))
        });
        return ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(changes)).into_response();
    }
    let items: Vec<Value> = shop.orders().iter().filter(|((of, _), _)| *of == namespace).map(|(_, order)| order.clone()).collect();
    Json(json!({"kind": "OrderList", "apiVersion": "shop.example/v1", "metadata": {}, "items": items})).into_response()
}
