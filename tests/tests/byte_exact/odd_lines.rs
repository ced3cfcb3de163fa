//! Events that a parser which re-writes JSON would change: the cases of "lossless" in the architecture.

/// One odd event: a plain one with a piece put into it.
pub(crate) struct Odd {
    /// What is odd; it becomes the auditID, so that no two are equal.
    name: &'static str,
    /// How it comes: more members of the event.
    came: &'static str,
    /// How it is stored: insignificant white space is gone, nothing else.
    kept: &'static str,
}

const fn same(name: &'static str, piece: &'static str) -> Odd {
    Odd { name, came: piece, kept: piece }
}

pub(crate) const LINES: &[Odd] = &[
    same(
        "numbers-spelled-oddly",
        r#","responseObject":{"a":1.0,"b":1e3,"c":1E+3,"d":-0,"e":0.10,"f":100000000000000000000000000000001,"g":1e-400,"h":9007199254740993}"#,
    ),
    same("code-with-exponent-in-a-body", r#","requestObject":{"status":{"code":2e2}}"#),
    same("duplicate-keys-in-a-body", r#","requestObject":{"a":1,"a":2,"b":{"c":1,"c":{"c":3}}}"#),
    same("duplicate-unknown-keys", r#","future":1,"future":{"x":2}"#),
    same("lone-surrogates", r#","requestObject":{"high":"\ud800","low":"x\udc00y","swapped":"\udc00\ud800","pair":"\ud83d\ude00"}"#),
    same("escapes-in-many-spellings", r#","requestObject":{"s":"\/ / \u002f \u0041 A \b\f\n\r\t \u0008 \u2028 \u003c < \" \\ \u0000"}"#),
    same("escaped-keys", r#","requestObject":{"\u0061":1,"a":2,"":3,"\ud83d\ude00":4}"#),
    same("unicode-as-it-is", ",\"requestObject\":{\"é\":\"e\u{301} 日本 \u{1F600} \u{2028}\u{202e}\u{feff}\"}"),
    same(
        "unknown-fields-everywhere",
        r#","authenticationMetadata":{"impersonationConstraint":"impersonate:user-info"},"newThing":[null,true,{"deep":[]}],"objectRef":{"resource":"pods","shard":7}"#,
    ),
    same("annotations-in-any-order", r#","annotations":{"z":"1","a":"2","m":""}"#),
    same("empty-values", r#","sourceIPs":[],"annotations":{},"userAgent":"","impersonatedUser":{},"responseStatus":{"metadata":{}}"#),
    same("nulls", r#","objectRef":null,"annotations":null,"requestObject":null,"responseObject":null"#),
    same("a-body-that-is-no-object", r#","requestObject":[{"op":"replace","path":"/spec","value":1.50}],"responseObject":"text""#),
    same("white-space-inside-strings", ",\"requestObject\":{\"a b\":\"  two  spaces\\n\\t{ \\\"k\\\" : 1 }  \"}"),
    Odd {
        name: "white-space-outside-strings",
        came: ", \"requestObject\" :\t{ \"a\" : [ 1 , 2 ,\r { } ] , \"b\" :\t\"x y\" } ",
        kept: r#","requestObject":{"a":[1,2,{}],"b":"x y"}"#,
    },
    Odd { name: "white-space-in-empty-things", came: ", \"requestObject\": { } , \"responseObject\": [ ]", kept: r#","requestObject":{},"responseObject":[]"# },
];

impl Odd {
    /// The line as it comes.
    pub(crate) fn line(&self) -> String {
        self.with(self.came)
    }

    /// The line as it is stored.
    pub(crate) fn stored(&self) -> String {
        self.with(self.kept)
    }

    fn with(&self, piece: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"{}","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"get","user":{{"username":"odd"}}{piece},"requestReceivedTimestamp":"2026-11-22T09:00:00.000000Z","stageTimestamp":"2026-11-22T09:00:00.000001Z"}}"#,
            self.name
        )
    }
}
