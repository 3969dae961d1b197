//! Which protocol has which field: the columns of the tables in
//! `docs/wire-format.md`, asked for by the name of what is there.

/// Every protocol that can be read.
pub const PROTOCOLS: [u16; 9] = [8, 15, 22, 24, 25, 26, 27, 29, 30];

/// The fields of one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout(u16);

impl Layout {
    /// `None` for a protocol nobody knows how to read.
    pub(crate) fn of(protocol: u16) -> Option<Layout> {
        PROTOCOLS.contains(&protocol).then_some(Layout(protocol))
    }

    /// For a report that is in memory, where the number may be anything.
    pub(crate) fn for_encoding(protocol: u16) -> Layout {
        Layout(protocol)
    }

    pub(crate) fn protocol(self) -> u16 {
        self.0
    }

    /// Ad cache and ad ids in the envelope; version, pause, locale, time zone,
    /// network, gender and birth date in sessions; times in events.
    #[inline(always)]
    pub(crate) fn is_full(self) -> bool {
        self.0 >= 15
    }

    /// A CRC-32 trailer, a list of device ids, ids of events and errors.
    #[inline(always)]
    pub(crate) fn has_trailer(self) -> bool {
        self.0 >= 22
    }

    #[inline(always)]
    pub(crate) fn has_referrer(self) -> bool {
        self.0 >= 24
    }

    #[inline(always)]
    pub(crate) fn has_launch_options(self) -> bool {
        self.0 >= 25
    }

    /// Envelope field 19.
    #[inline(always)]
    pub(crate) fn has_reserved_bool(self) -> bool {
        self.0 == 25
    }

    /// Kind and trace of errors.
    #[inline(always)]
    pub(crate) fn has_traces(self) -> bool {
        self.0 >= 26
    }

    #[inline(always)]
    pub(crate) fn has_delivery_flag(self) -> bool {
        self.0 >= 27
    }

    /// Ad tracking, origins, session properties, the long tails and the zero
    /// byte after properties.
    #[inline(always)]
    pub(crate) fn is_late(self) -> bool {
        self.0 >= 29
    }

    /// Package, launch and orientation.
    #[inline(always)]
    pub(crate) fn is_latest(self) -> bool {
        self.0 >= 30
    }

    /// Session field 1, where there is one.
    #[inline(always)]
    pub(crate) fn session_version(self) -> u16 {
        match self.0 {
            ..=28 => 1,
            29 => 3,
            _ => 7,
        }
    }

    /// Session field 23: constant bytes, all of them checked.
    #[inline(always)]
    pub(crate) fn tail(self) -> &'static [u8] {
        const SHORT: &[u8] = &[0, 0];
        const MIDDLE: &[u8] = &[0, 0, 0, 0];
        const LONG: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
        match self.0 {
            ..=21 => SHORT,
            22..=28 => MIDDLE,
            _ => LONG,
        }
    }

    /// The widths of the numbers that make up the tail: where a body that ends
    /// inside it changes from a wrong value to a missing one.
    pub(crate) fn tail_fields(self) -> &'static [usize] {
        match self.0 {
            ..=21 => &[2],
            22..=28 => &[2, 2],
            _ => &[4, 2, 2, 2],
        }
    }

    /// Agents from 131 on leave out error records that they count.
    pub(crate) fn is_repairable(self) -> bool {
        self.0 >= 24
    }
}
