//! `ip_in(ip, network)`: whether an address lies in a network, as `ip:` in filters sees it.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};
use ipnet::IpNet;

use super::arguments::{Argument, Function, Texts};

pub(super) fn ip_in() -> ScalarUDF {
    Function::udf("ip_in", &[Argument::Text, Argument::Text], DataType::Boolean, "ip_in(peer_ip, '10.0.0.0/8')", work)
}

/// NULL where an argument is; false where the first one is no address. IPv4 addresses mapped into IPv6 are IPv4.
fn work(arguments: &[ColumnarValue], n_rows: usize) -> Result<ArrayRef> {
    let (addresses, networks) = (Texts::of(&arguments[0])?, Texts::of(&arguments[1])?);
    let mut last: Option<(&str, IpNet)> = None;
    let mut found = Vec::with_capacity(n_rows);
    for row in 0..n_rows {
        let (Some(address), Some(network)) = (addresses.get(row), networks.get(row)) else {
            found.push(None);
            continue;
        };
        if last.as_ref().is_none_or(|(of, _)| *of != network) {
            last = Some((network, parse(network)?));
        }
        let contains = |address: IpAddr| last.as_ref().is_some_and(|(_, network)| network.contains(&address.to_canonical()));
        found.push(Some(address.parse::<IpAddr>().is_ok_and(contains)));
    }
    Ok(Arc::new(BooleanArray::from(found)))
}

fn parse(text: &str) -> Result<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| DataFusionError::Plan(format!("`{text}` is no network; write an address or `10.0.0.0/8`")))
}
