//! What two texts have in common at their beginning: keys of blocks and values of
//! the archive are written down as what differs from the one before.

/// How many bytes that are, looked at eight at once.
pub(crate) fn shared(a: &[u8], b: &[u8]) -> usize {
    let (left, _) = a.as_chunks::<8>();
    let (right, _) = b.as_chunks::<8>();
    let mut shared = 0;
    for (left, right) in left.iter().zip(right) {
        let differ = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
        if differ != 0 {
            return shared + differ.trailing_zeros() as usize / 8;
        }
        shared += 8;
    }
    let rest = a.iter().zip(b).skip(shared);
    shared + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn as_byte_by_byte() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..=text.len() {
            for differs in 0..=text.len() {
                let mut other = text.clone();
                if let Some(byte) = other.get_mut(differs) {
                    *byte ^= 0x80;
                }
                let expected = length.min(differs);
                assert_eq!(shared(&text[..length], &other), expected);
                assert_eq!(shared(&other, &text[..length]), expected);
            }
        }
    }
}
