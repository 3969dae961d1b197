//! Dictionaries by how often each text is meant: the most frequent first, so
//! that the upper bytes of most numbers are small and alike, and cheap once
//! compressed. A column is ranked before its first page, for the whole row group.

use super::intern::Dictionary;

/// Fewer texts than this have numbers of one byte, whichever they are.
const ONE_BYTE: usize = 1 << 8;
/// Every so many numbers are looked at.
const SAMPLE: usize = 4;
/// Texts that were seen more often are alike.
const MOST: usize = 1 << 12;

/// The place of each text, by its number; `None` where that would gain nothing.
pub fn ranks(dictionary: &Dictionary, numbers: &[u32]) -> Option<Vec<u32>> {
    if dictionary.len() <= ONE_BYTE {
        return None;
    }
    let mut seen = vec![0usize; dictionary.len()];
    for number in numbers.iter().step_by(SAMPLE) {
        if let Some(count) = seen.get_mut(*number as usize) {
            *count += 1;
        }
    }
    // As often as another: as they came. Where those begin that were seen so often …
    let class = |count: usize| MOST - count.min(MOST);
    let mut starts = vec![0u32; MOST + 2];
    for count in &seen {
        if let Some(start) = starts.get_mut(class(*count) + 1) {
            *start += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    // … and each in its turn.
    let place = |count: &usize| match starts.get_mut(class(*count)) {
        Some(start) => {
            *start += 1;
            *start - 1
        }
        None => 0,
    };
    Some(seen.iter().map(place).collect())
}

/// The dictionary's plain values in the order of `ranks`.
pub fn plain(dictionary: &Dictionary, ranks: &[u32]) -> Vec<u8> {
    let mut texts: Vec<&[u8]> = vec![&[]; ranks.len()];
    for (text, rank) in dictionary.texts().zip(ranks) {
        if let Some(place) = texts.get_mut(*rank as usize) {
            *place = text;
        }
    }
    let mut plain = Vec::with_capacity(dictionary.plain().len());
    for text in texts {
        plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
        plain.extend_from_slice(text);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::*;

    #[test]
    fn frequent_texts_come_first_and_none_is_lost() {
        let mut dictionary = Dictionary::default();
        let texts: Vec<_> = (0..1_000u32).map(|n| n.to_string().into_bytes()).collect();
        let mut numbers: Vec<u32> = Vec::new();
        for text in &texts {
            numbers.extend(dictionary.number(&Key::of(text), text));
        }
        assert_eq!(numbers.len(), 1_000);
        numbers.extend([700; 400].iter().chain(&[3; 100]));
        let ranks = ranks(&dictionary, &numbers).unwrap();
        assert_eq!((ranks[700], ranks[3]), (0, 1));
        let mut sorted = ranks.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1_000));
        let plain = plain(&dictionary, &ranks);
        let mut rest = &plain[..];
        let mut found = Vec::new();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let (text, after) = after.split_at(u32::from_le_bytes(*len) as usize);
            found.push(text);
            rest = after;
        }
        for (text, rank) in texts.iter().zip(&ranks) {
            assert_eq!(found[*rank as usize], text);
        }
    }

    #[test]
    fn small_dictionaries_stay_as_they_are() {
        let mut dictionary = Dictionary::default();
        for n in 0..ONE_BYTE as u32 {
            let text = n.to_le_bytes();
            dictionary.number(&Key::of(&text), &text);
        }
        assert_eq!(ranks(&dictionary, &[255; 9]), None);
    }
}
