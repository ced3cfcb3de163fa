//! How wide the terminal is.

/// The columns of the terminal that stdout is; `None` if it is none or does not say.
pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}
