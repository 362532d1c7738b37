//! Numbers in hexadecimal, as ETags and tokens have them. A listing of ten thousand objects writes as many, and spent
//! a third of its time in `format!`.

/// Appends a number, without zeros in front of it.
pub(super) fn push(out: &mut String, number: u64) {
    let digits = 16 - (number | 1).leading_zeros() / 4;
    push_digits(out, number, digits);
}

/// Appends the last digits of a number.
pub(super) fn push_digits(out: &mut String, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = u32::try_from(number >> (4 * place) & 15).unwrap_or(0);
        out.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for number in [
            0,
            1,
            9,
            10,
            15,
            16,
            255,
            256,
            0x0123_4567_89ab_cdef,
            u64::MAX,
        ] {
            let mut out = String::new();
            push(&mut out, number);
            assert_eq!(out, format!("{number:x}"));
            out.clear();
            push_digits(&mut out, number, 8);
            assert_eq!(out, format!("{:08x}", number & 0xffff_ffff));
        }
    }
}
