//! What apps call things: api keys, versions, events, parameters, errors.
//! An app's vocabulary is a function of its number, never stored.

use super::ink::{Decimal, Ink};
use super::rng::{Alias, Rng, mix};
use crate::report::Text;

const NOUNS: &[&str] = &[
    "Level", "Button", "Screen", "Menu", "Item", "Purchase", "Video", "Share", "Settings", "Login",
    "Photo", "Search", "Store", "Game", "Tutorial", "Ad", "Profile", "Post", "Comment", "Message",
];
const VERBS: &[&str] = &[
    "Played",
    "Tapped",
    "Viewed",
    "Opened",
    "Selected",
    "Completed",
    "Started",
    "Failed",
    "Shown",
    "Closed",
    "Unlocked",
    "Sent",
    "Liked",
    "Saved",
];
/// Names of apps that do not speak English; the emoji are astral, so that they
/// stand as surrogate pairs on the wire.
const FOREIGN: &[&str] = &[
    "ボタン",
    "ステージ クリア",
    "购买",
    "登录",
    "Уровень",
    "Покупка",
    "설정",
    "게임 시작",
    "événement",
    "Größe",
    "niño",
    "İzle",
    "ซื้อ",
    "شراء",
    "😀 tap",
    "Level 🏁",
];
const KEYS: &[&str] = &[
    "level", "source", "type", "screen", "count", "result", "category", "index", "network", "item",
];
const VALUES: &[&str] = &[
    "main",
    "true",
    "false",
    "facebook",
    "twitter",
    "home_screen",
    "success",
    "cancelled",
    "free",
    "premium",
    "wifi",
    "3",
    "12",
    "coins_pack_small",
    "tutorial_step_4",
    "news_feed",
    "camera",
    "1",
    "0",
    "gold",
    "",
];
const CLASSES: &[&str] = &[
    "java.lang.NullPointerException",
    "java.lang.IllegalStateException",
    "java.lang.OutOfMemoryError",
    "java.net.UnknownHostException",
    "android.database.sqlite.SQLiteException",
    "java.lang.ArrayIndexOutOfBoundsException",
];
const MESSAGES: &[&str] = &[
    "Unable to resolve host \"api.example.com\": No address associated with hostname",
    "",
    "Attempt to read from null array",
    "bitmap size exceeds VM budget",
    "database is locked",
    "Índice fuera de rango: 4",
];
const ERROR_IDS: &[&str] = &["net", "parse", "billing", "onFailedToReceiveAd", "Ошибка"];
const KEY_LETTERS: &[u8; 28] = b"BCDFGHJKMNPQRSTVWXYZ23456789";
/// Largest number of event names an app uses.
const MAX_VOCABULARY: usize = 64;

/// Precomputed words and distributions.
pub struct Words {
    foreign: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
    messages: Vec<Vec<u8>>,
    error_ids: Vec<Vec<u8>>,
    events: Vec<Alias>,
    keys: Alias,
    value_ranks: Alias,
}

/// An app, as far as it can be derived from its number.
#[derive(Clone, Copy)]
pub struct App {
    pub number: u64,
    hash: u64,
    vocabulary: usize,
    foreign: bool,
}

impl App {
    pub fn new(number: u64) -> Self {
        let hash = mix(number, 0xA99);
        App {
            number,
            hash,
            vocabulary: 3 + (hash >> 7) as usize % 60,
            // By rank rather than by hash: a few apps carry most of the load,
            // and the share of foreign names must not hang on their luck.
            foreign: number % 9 == 4,
        }
    }

    /// 20 letters and digits, the same under every seed.
    pub fn api_key(self, ink: Ink<'_>) -> Text<'_> {
        let mut rng = Rng::new(mix(self.number, 0xA11CE));
        let mut key = [0u8; 20];
        for letter in &mut key {
            *letter = *rng.pick(KEY_LETTERS).unwrap_or(&b'X');
        }
        ink.copy(&key)
    }

    /// Its version; 0 is the newest, higher ages are older.
    pub fn version(self, age: u64, ink: Ink<'_>) -> Text<'_> {
        let hash = self.hash;
        ink.join(&[
            Decimal::of(1 + hash % 4).bytes(),
            b".",
            Decimal::of((hash >> 8) % 10).bytes(),
            b".",
            Decimal::of(4 + (hash >> 16) % 10 - age.min(4)).bytes(),
        ])
    }

    pub fn package(self, ink: Ink<'_>) -> Text<'_> {
        ink.join(&[b"com.example.app", Decimal::of(self.number).bytes()])
    }
}

impl Words {
    pub fn new() -> Self {
        let wire =
            |texts: &[&str]| -> Vec<Vec<u8>> { texts.iter().map(|t| modified_utf8(t)).collect() };
        Words {
            foreign: wire(FOREIGN),
            values: wire(VALUES),
            messages: wire(MESSAGES),
            error_ids: wire(ERROR_IDS),
            events: (1..=MAX_VOCABULARY).map(|n| Alias::zipf(n, 0.9)).collect(),
            keys: Alias::zipf(KEYS.len(), 0.7),
            value_ranks: Alias::zipf(VALUES.len(), 0.7),
        }
    }

    /// Which of the app's event names happens next.
    pub fn draw_event(&self, app: App, rng: &mut Rng) -> u64 {
        let table = self.events.get(app.vocabulary - 1);
        table.map_or(0, |table| table.draw(rng) as u64)
    }

    /// The name of an app's `index`-th event.
    pub fn event_name<'a>(&self, app: App, index: u64, ink: Ink<'a>) -> Text<'a> {
        let mut rng = Rng::new(mix(app.number << 8 | index, 0xE7));
        let noun = word(NOUNS, &mut rng);
        let verb = word(VERBS, &mut rng);
        let number = Decimal::of(index);
        let number = number.bytes();
        if app.foreign && index % 2 == 1 {
            let foreign = rng.pick(&self.foreign).map_or(&[][..], Vec::as_slice);
            return ink.join(&[foreign, b" ", number]);
        }
        match rng.below(20) {
            0..=6 => ink.join(&[noun, b" ", verb]),
            7..=11 => ink.join(&[b"ui_", noun, b"_", verb, b"_", number]),
            12..=14 => ink.join(&[verb, noun]),
            15 => ink.join(&[noun, b" ", verb, b" - World ", number]),
            16 => ink.join(&[b"ui.", noun, b".", verb, b".", number]),
            17 => noun,
            18 => ink.join(&[b"EVT_", noun, b"_", number]),
            _ => ink.join(&[noun, b" ", verb, b" #", number]),
        }
    }

    /// How many parameters the app sends with this event, at most 5.
    pub fn parameter_count(app: App, event: u64, rng: &mut Rng) -> u64 {
        match mix(app.number << 8 | event, 0x9A) % 10 {
            0..=4 => 0,
            5..=7 => 1,
            8 => 2,
            _ => 2 + rng.below(4),
        }
    }

    /// Whether the app times this event.
    pub fn is_timed(app: App, event: u64) -> bool {
        mix(app.number << 8 | event, 0x71).is_multiple_of(6)
    }

    pub fn parameter<'a>(&'a self, app: App, rng: &mut Rng, ink: Ink<'a>) -> (Text<'a>, Text<'a>) {
        let key = KEYS
            .get(self.keys.draw(rng))
            .map_or(&[][..], |key| key.as_bytes());
        let value = if app.foreign && rng.chance(0.2) {
            rng.pick(&self.foreign).map_or(&[][..], Vec::as_slice)
        } else if rng.chance(0.8) {
            let rank = self.value_ranks.draw(rng);
            self.values.get(rank).map_or(&[][..], Vec::as_slice)
        } else {
            ink.decimal(rng.below(100_000))
        };
        (key, value)
    }

    pub fn error_id(&self, rng: &mut Rng) -> Text<'_> {
        rng.pick(&self.error_ids).map_or(&[], Vec::as_slice)
    }

    pub fn message(&self, rng: &mut Rng) -> Text<'_> {
        rng.pick(&self.messages).map_or(&[], Vec::as_slice)
    }

    /// Up to agent 140 the class reads `class java.lang.X`.
    pub fn class<'a>(&self, prefixed: bool, rng: &mut Rng, ink: Ink<'a>) -> Text<'a> {
        let class = word(CLASSES, rng);
        if prefixed {
            ink.join(&[b"class ", class])
        } else {
            class
        }
    }

    pub fn trace<'a>(&self, app: App, rng: &mut Rng, ink: Ink<'a>) -> &'a [u8] {
        let mut trace = bumpalo::collections::Vec::with_capacity_in(600, ink.0);
        for line in 0..4 + rng.below(6) {
            for part in [
                b"com.example.app".as_slice(),
                Decimal::of(app.number).bytes(),
                b".ui.Screen",
                Decimal::of(line).bytes(),
                b".onClick(Screen.java:",
                Decimal::of(20 + rng.below(900)).bytes(),
                b")\n",
            ] {
                trace.extend_from_slice_copy(part);
            }
        }
        trace.into_bump_slice()
    }
}

fn word(from: &'static [&'static str], rng: &mut Rng) -> &'static [u8] {
    rng.pick(from).map_or(&[], |word| word.as_bytes())
}

fn modified_utf8(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    crate::wire::text::from_utf8(text, &mut wire);
    wire
}
