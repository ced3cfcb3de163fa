//! CSV (RFC 4180) that a spreadsheet cannot be made to run.

use std::io::{self, Write};

/// Writes one row. A cell that a spreadsheet would take as a formula gets a leading `'`, also when white
/// space stands before it.
pub(crate) fn write_csv_row<'a>(out: &mut impl Write, cells: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        let guard = if is_formula(cell) { "'" } else { "" };
        if cell.contains(['"', ',', '\n', '\r']) || cell != cell.trim() {
            write!(out, "\"{guard}{}\"", cell.replace('"', "\"\""))?;
        } else {
            write!(out, "{guard}{cell}")?;
        }
    }
    out.write_all(b"\r\n")
}

/// See <https://owasp.org/www-community/attacks/CSV_Injection>.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_guards() {
        let case = |cell: &str| {
            let mut out = Vec::new();
            write_csv_row(&mut out, [cell, "x"]).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(case("plain"), "plain,x\r\n");
        assert_eq!(case(""), ",x\r\n");
        assert_eq!(case("a,b"), "\"a,b\",x\r\n");
        assert_eq!(case("say \"hi\"\n"), "\"say \"\"hi\"\"\n\",x\r\n");
        assert_eq!(case("=cmd|'/c calc'!A1"), "'=cmd|'/c calc'!A1,x\r\n");
        assert_eq!(case(" @sum(1)"), "\"' @sum(1)\",x\r\n");
        assert_eq!(case("-1"), "'-1,x\r\n");
        assert_eq!(case("\tx"), "\"'\tx\",x\r\n");
    }
}
