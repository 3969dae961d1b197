use super::*;

const PLAN: &str = "
[[rollup]]
name = 'app'
dimensions = []
measures = ['sessions', 'duration']
cap = 1
[[rollup]]
name = 'country'
dimensions = ['country']
measures = ['sessions']
cap = 3
[[rollup]]
name = 'pair'
dimensions = ['event', 'parameter']
measures = ['events', 'event_sessions']
cap = 2
";

fn plan() -> Plan {
    Plan::parse(PLAN).unwrap()
}

type Group = (Vec<u8>, Vec<u64>);
type Sections = Vec<(u8, Vec<Group>, Option<Vec<u64>>)>;

fn key(parts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        write_key_part(part.as_bytes(), &mut out);
    }
    out
}

fn sample() -> Sections {
    vec![
        (0, vec![(vec![], vec![7, u64::MAX])], None),
        (
            1,
            vec![
                (key(&[""]), vec![0]),
                (key(&["DE"]), vec![1]),
                (key(&["DK"]), vec![128]),
            ],
            Some(vec![5]),
        ),
        (
            2,
            vec![
                (key(&["eins", "zwo"]), vec![1, 2]),
                (key(&["eins", "zwei"]), vec![0, 0]),
            ],
            None,
        ),
        (255, vec![(key(&["bad_crc"]), vec![3])], None),
    ]
}

fn encode(header: Header, sections: &Sections) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out, header, sections.len());
    for (number, groups, other) in sections {
        let groups = groups.iter().map(|(k, v)| (k.as_slice(), v.as_slice()));
        writer.section(*number, groups, other.as_deref());
    }
    writer.finish();
    out
}

fn header() -> Header {
    Header {
        end: 1_234,
        plan: plan().id,
        last_crc: 0xDEAD_BEEF,
    }
}

fn decode(value: &[u8]) -> Result<Decoded, BlockError> {
    let mut decoded = Decoded::default();
    decoded.read(&plan(), value).map(|()| decoded)
}

fn contents(decoded: &Decoded) -> Sections {
    let plan = plan();
    decoded
        .sections
        .iter()
        .map(|section| {
            let groups = decoded
                .groups(section)
                .map(|(k, v)| (k.to_vec(), v.to_vec()))
                .collect();
            let other = decoded.other(section).map(<[u64]>::to_vec);
            (plan.rollups[section.rollup].number, groups, other)
        })
        .collect()
}

/// Replaces the CRC of a tampered block, so that only the structure is wrong.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    body.truncate(body.len() - 4);
    let crc = crc32fast::hash(&body);
    body.extend(crc.to_be_bytes());
    body
}

#[test]
fn round_trip() {
    let value = encode(header(), &sample());
    let decoded = decode(&value).unwrap();
    assert_eq!(decoded.header, header());
    assert_eq!(contents(&decoded), sample());
    assert_eq!(encode(decoded.header, &contents(&decoded)), value);
    // An empty block is well-formed, although nobody writes one.
    assert_eq!(
        contents(&decode(&encode(header(), &vec![])).unwrap()),
        vec![]
    );
}

#[test]
fn golden_bytes() {
    let header = Header {
        plan: 0x0102_0304,
        ..header()
    };
    let sections = vec![(
        1,
        vec![(key(&["DE"]), vec![1]), (key(&["DK"]), vec![128])],
        None,
    )];
    let value = encode(header, &sections);
    let expected = b"\x02\0\0\0\0\0\0\x04\xD2\x01\x02\x03\x04\xDE\xAD\xBE\xEF\x01\x01\x02\x00\x00\x03\x02DE\x01\x02\x01K\x80\x01";
    assert_eq!(value[..value.len() - 4], expected[..]);
    assert_eq!(
        value[value.len() - 4..],
        crc32fast::hash(expected).to_be_bytes()
    );
}

#[test]
fn every_cut_and_every_changed_byte_is_refused() {
    let value = encode(header(), &sample());
    for cut in 0..value.len() {
        assert!(decode(&value[..cut]).is_err());
    }
    for at in 0..value.len() {
        for bit in 0..8 {
            let mut other = value.clone();
            other[at] ^= 1 << bit;
            assert!(decode(&other).is_err(), "byte {at} bit {bit}");
        }
    }
}

/// With the CRC made right again, a changed byte may only give another
/// canonical block: nothing is read that would be written differently.
#[test]
fn what_is_read_is_what_would_be_written() {
    let value = encode(header(), &sample());
    let mut read = 0;
    for at in 0..value.len() - 4 {
        for byte in 0..=255u8 {
            let mut other = value.clone();
            other[at] = byte;
            let other = sealed(other);
            if let Ok(decoded) = decode(&other) {
                assert_eq!(encode(decoded.header, &contents(&decoded)), other);
                read += 1;
            }
        }
        let mut shorter = value.clone();
        shorter.remove(at);
        if let Ok(decoded) = decode(&sealed(shorter.clone())) {
            assert_eq!(encode(decoded.header, &contents(&decoded)), sealed(shorter));
        }
    }
    assert!(read > 1_000, "{read}");
}

#[test]
fn random_blocks_survive_and_random_bytes_do_not_panic() {
    let mut seed = 1u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..2_000 {
        let mut sections = Sections::new();
        for (number, width, parts, cap) in [
            (0u8, 2, 0, 1),
            (1, 1, 1, 3),
            (2, 2, 2, 2),
            (255, 1, 1, 1_000),
        ] {
            let mut keys: Vec<_> = (0..random(cap + 1))
                .map(|_| {
                    let words: Vec<_> = (0..parts)
                        .map(|_| "äb€c".chars().take(random(5) as usize).collect::<String>())
                        .collect();
                    key(&words.iter().map(String::as_str).collect::<Vec<_>>())
                })
                .collect();
            keys.sort();
            keys.dedup();
            if keys.is_empty() {
                continue;
            }
            let full = keys.len() as u64 == cap;
            let mut values = || {
                (0..width)
                    .map(|_| random(u64::MAX) >> random(64))
                    .collect::<Vec<_>>()
            };
            let groups = keys.into_iter().map(|key| (key, values())).collect();
            let other = full.then(&mut values);
            sections.push((number, groups, other));
        }
        let mut value = encode(header(), &sections);
        assert_eq!(contents(&decode(&value).unwrap()), sections);
        for _ in 0..3 {
            let at = random(value.len() as u64) as usize;
            value[at] = random(256) as u8;
        }
        let value = sealed(value);
        if let Ok(decoded) = decode(&value) {
            assert_eq!(encode(decoded.header, &contents(&decoded)), value);
        }
    }
}

#[test]
fn every_error_has_a_case() {
    let value = |sections: Sections| encode(header(), &sections);
    let group = |parts: &[&str], width: usize| (key(parts), vec![1; width]);
    let patched = |at: usize, byte: u8| {
        let mut bytes = value(sample());
        bytes[at] = byte;
        sealed(bytes)
    };
    let unsealed = |at: usize| {
        let mut bytes = value(sample());
        bytes[at] ^= 1;
        bytes
    };
    let with_end = |end| encode(Header { end, ..header() }, &sample());
    let appended = |extra: &[u8]| {
        let mut bytes = value(sample());
        bytes.truncate(bytes.len() - 4);
        bytes.extend_from_slice(extra);
        bytes.extend([0; 4]);
        sealed(bytes)
    };
    let one = |number: u8, groups: Vec<Group>, other| value(vec![(number, groups, other)]);
    let cases: Vec<(Vec<u8>, BlockError)> = vec![
        (vec![1; 20], BlockError::Short),
        (patched(0, 1), BlockError::Format(1)),
        (unsealed(20), BlockError::Crc),
        (patched(9, !value(sample())[9]), BlockError::Plan),
        (with_end(0), BlockError::End),
        (with_end(-1), BlockError::End),
        (patched(17, 0x84), BlockError::Number),
        (patched(17, 5), BlockError::Number),
        (patched(17, 3), BlockError::Trailing),
        (appended(&[0]), BlockError::Trailing),
        (one(3, vec![group(&["x"], 1)], None), BlockError::Section),
        (one(1, vec![], None), BlockError::Section),
        (
            value(vec![
                (1, vec![group(&["x"], 1)], None),
                (0, vec![group(&[], 2)], None),
            ]),
            BlockError::Section,
        ),
        (
            value(vec![
                (1, vec![group(&["x"], 1)], None),
                (1, vec![group(&["y"], 1)], None),
            ]),
            BlockError::Section,
        ),
        (
            one(0, vec![group(&[], 2), group(&[], 2)], None),
            BlockError::Cap,
        ),
        (
            one(1, vec![group(&["x"], 1)], Some(vec![1])),
            BlockError::Cap,
        ),
        (
            one(1, vec![group(&["y"], 1), group(&["x"], 1)], None),
            BlockError::Key,
        ),
        (
            one(1, vec![group(&["x"], 1), group(&["x"], 1)], None),
            BlockError::Key,
        ),
        (one(1, vec![group(&[], 1)], None), BlockError::Dimensions),
        (
            one(1, vec![group(&["x", "y"], 1)], None),
            BlockError::Dimensions,
        ),
        (
            one(1, vec![(vec![9, b'x'], vec![1])], None),
            BlockError::Dimensions,
        ),
        (
            one(1, vec![(vec![1, 0xFF], vec![1])], None),
            BlockError::Dimensions,
        ),
        (patched(20, 2), BlockError::Flag),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(&bytes).unwrap_err(), error, "{bytes:?}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_prefix_must_be_the_longest() {
    // DE then DK written with a shared prefix of 0 instead of 2.
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out, header(), 1);
    writer.section(
        1,
        [(key(&["DE"]).as_slice(), [1u64].as_slice())].into_iter(),
        None,
    );
    writer.finish();
    let body_end = out.len() - 4;
    out.truncate(body_end);
    out[19] = 2;
    out.extend(b"\x00\x03\x02DK\x01");
    out.extend([0; 4]);
    assert_eq!(decode(&sealed(out.clone())).unwrap_err(), BlockError::Key);
    out.truncate(body_end);
    out.extend(b"\x02\x01K\x01");
    out.extend([0; 4]);
    assert!(decode(&sealed(out)).is_ok());
}
