//! The parameters of guests' pages.

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    kalends::web::read_parameters(data);
}
