//! Why a report cannot be read. The names are part of the archive's and the
//! counters' formats: a reason is never renamed or renumbered.

use std::fmt;

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])* $variant:ident = $code:literal, $name:literal; )*) => {
        /// Why a report is unreadable. Identical on every replay of the same bytes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason { $( $(#[doc = $doc])* $variant = $code, )* }

        impl Reason {
            /// Every reason, in the order of their codes.
            pub const ALL: &'static [Reason] = &[ $( Reason::$variant, )* ];

            /// The name that archive, counters and JSON carry.
            pub const fn name(self) -> &'static str {
                match self { $( Reason::$variant => $name, )* }
            }

            /// One sentence for people.
            pub const fn describe(self) -> &'static str {
                match self { $( Reason::$variant => concat!($($doc),*).trim_ascii(), )* }
            }
        }
    };
}

reasons! {
    /// The body ends inside a field.
    Truncated = 1, "truncated";
    /// The CRC-32 trailer does not match the bytes before it.
    BadCrc = 2, "bad_crc";
    /// The protocol number is none of 8, 15, 22, 24, 25, 26, 27, 29, 30.
    UnknownProtocol = 3, "unknown_protocol";
    /// Bytes are left after the last field.
    TrailingBytes = 4, "trailing_bytes";
    /// A text is not modified UTF-8 as Java's readUTF accepts it.
    BadText = 5, "bad_text";
    /// A field holds a value that its type or the protocol does not allow.
    BadValue = 6, "bad_value";
    /// Reading the report would take more bytes, records or work than a report may.
    OverBudget = 7, "over_budget";
    /// The API key is empty or longer than 255 bytes, so that no counter row can be named.
    BadKey = 8, "bad_key";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Reason {}
