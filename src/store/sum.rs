//! A checksum of all rows of a tree, whatever their order: it follows each write without reading the others.

/// The sum of the hashes of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum(u64);

impl Sum {
    /// Takes in a row.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(hash(key, value));
    }

    /// Takes out a row that was taken in.
    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(hash(key, value));
    }

    /// How it is kept.
    pub(super) fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// As it was kept.
    pub(super) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }
}

/// Both checksums in one number, mixed: sums of CRCs alone would not see two rows that changed places.
fn hash(key: &[u8], value: &[u8]) -> u64 {
    let key = u64::from(crc32c::crc32c(key));
    let value = u64::from(crc32c::crc32c(value));
    let mut mixed = (key << 32 | value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_whatever_their_order_and_no_others() {
        let sum = |rows: &[(&str, &str)]| {
            let mut sum = Sum::default();
            for (key, value) in rows {
                sum.add(key.as_bytes(), value.as_bytes());
            }
            sum
        };
        let mut both = sum(&[("a", "1"), ("b", "2")]);
        assert_eq!(both, sum(&[("b", "2"), ("a", "1")]));
        assert_ne!(both, sum(&[("a", "2"), ("b", "1")]));
        assert_ne!(both, sum(&[("a", "1")]));
        assert_eq!(Sum::from_bytes(both.to_bytes()), both);
        both.remove(b"b", b"2");
        assert_eq!(both, sum(&[("a", "1")]));
    }
}
