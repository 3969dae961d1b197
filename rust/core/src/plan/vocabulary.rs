//! The words of a plan: dimensions and measures, and which go together.

/// What a rollup's groups are about: the deepest of its dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Session,
    Event,
    Parameter,
    Error,
}

impl Level {
    /// The name that readers see.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Session => "session",
            Level::Event => "event",
            Level::Parameter => "parameter",
            Level::Error => "error",
        }
    }
}

/// How often the value of a dimension is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Once a report.
    Report,
    /// Once a session (for `reports`: once more, from the envelope).
    Session,
    /// Once an event, parameter or error.
    Leaf,
}

macro_rules! dimensions {
    ($( $variant:ident = $name:literal, $scope:ident[$slot:literal], $level:ident; )*) => {
        /// What groups are told apart by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Dimension { $( $variant, )* }

        impl Dimension {
            /// Every dimension; the last, `reason`, is reserved for `unreadable`.
            pub const ALL: &'static [Dimension] = &[ $( Dimension::$variant, )* ];

            /// Its name in a plan.
            pub const fn name(self) -> &'static str {
                match self { $( Dimension::$variant => $name, )* }
            }

            /// The level that it forces on a rollup.
            pub const fn level(self) -> Level {
                match self { $( Dimension::$variant => Level::$level, )* }
            }

            /// How often its value changes.
            pub const fn scope(self) -> Scope {
                match self { $( Dimension::$variant => Scope::$scope, )* }
            }

            /// Its place among the values of its scope and, for leaves, level.
            pub const fn slot(self) -> usize {
                match self { $( Dimension::$variant => $slot, )* }
            }
        }
    };
}

dimensions! {
    AgentVersion = "agent_version", Report[0], Session;
    Platform = "platform", Report[1], Session;
    Protocol = "protocol", Report[2], Session;
    DeviceModel = "device_model", Report[3], Session;
    Brand = "brand", Report[4], Session;
    OsVersion = "os_version", Report[5], Session;
    InstallDay = "install_day", Report[6], Session;
    AppVersion = "app_version", Session[0], Session;
    Language = "language", Session[1], Session;
    Country = "country", Session[2], Session;
    TimeZone = "time_zone", Session[3], Session;
    Network = "network", Session[4], Session;
    Gender = "gender", Session[5], Session;
    AgeBand = "age_band", Session[6], Session;
    LocalHour = "local_hour", Session[7], Session;
    SessionLength = "session_length", Session[8], Session;
    Event = "event", Leaf[0], Event;
    Parameter = "parameter", Leaf[1], Parameter;
    Value = "value", Leaf[2], Parameter;
    Error = "error", Leaf[0], Error;
    ErrorKind = "error_kind", Leaf[1], Error;
    Reason = "reason", Report[7], Session;
}

/// Values per scope.
pub const REPORT_SLOTS: usize = 8;
/// Values per scope.
pub const SESSION_SLOTS: usize = 9;
/// Values per scope: the most that any level has.
pub const LEAF_SLOTS: usize = 3;

impl Dimension {
    /// The dimension of this name, if a plan may use it.
    pub fn named(name: &str) -> Option<Dimension> {
        Self::ALL
            .iter()
            .copied()
            .find(|d| d.name() == name && *d != Dimension::Reason)
    }

    /// Whether a rollup that counts `reports` may have it.
    pub fn known_of_reports(self) -> bool {
        self.scope() == Scope::Report || self == Dimension::AppVersion
    }
}

macro_rules! measures {
    ($( $variant:ident = $name:literal, [$( $level:ident[$slot:literal] ),*]; )*) => {
        /// What is added up.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Measure { $( $variant, )* }

        impl Measure {
            /// Every measure.
            pub const ALL: &'static [Measure] = &[ $( Measure::$variant, )* ];

            /// Its name in a plan.
            pub const fn name(self) -> &'static str {
                match self { $( Measure::$variant => $name, )* }
            }

            /// Its place among the measures of a level; `None` where it has no meaning.
            pub const fn slot(self, level: Level) -> Option<usize> {
                match (self, level) {
                    $( $( (Measure::$variant, Level::$level) => Some($slot), )* )*
                    _ => None,
                }
            }
        }
    };
}

measures! {
    Reports = "reports", [Session[0]];
    Sessions = "sessions", [Session[1]];
    NewUsers = "new_users", [Session[2]];
    EndedSessions = "ended_sessions", [Session[3]];
    Duration = "duration", [Session[4]];
    PageViews = "page_views", [Session[5]];
    Events = "events", [Session[6], Event[0], Parameter[0]];
    Errors = "errors", [Session[7], Error[0]];
    Crashes = "crashes", [Session[8], Error[1]];
    DataPoints = "data_points", [Session[9]];
    ClockSuspect = "clock_suspect", [Session[10]];
    EventSessions = "event_sessions", [Event[1], Parameter[1]];
    EventDuration = "event_duration", [Event[2]];
    Duplicates = "duplicates", [Session[11]];
    Superseded = "superseded", [Session[12]];
}

/// Measures of session level.
pub const SESSION_MEASURES: usize = 13;

impl Measure {
    /// The measure of this name.
    pub fn named(name: &str) -> Option<Measure> {
        Self::ALL.iter().copied().find(|m| m.name() == name)
    }

    /// Whether a report adds to it itself, in its receive hour.
    pub fn of_reports(self) -> bool {
        matches!(
            self,
            Measure::Reports | Measure::Duplicates | Measure::Superseded
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_values_share_a_slot() {
        let mut seen = HashSet::new();
        for dimension in Dimension::ALL {
            let level = (dimension.scope() == Scope::Leaf && dimension.level() == Level::Error)
                .then_some(Level::Error);
            assert!(seen.insert((dimension.scope(), level, dimension.slot())));
            let slots = match dimension.scope() {
                Scope::Report => REPORT_SLOTS,
                Scope::Session => SESSION_SLOTS,
                Scope::Leaf => LEAF_SLOTS,
            };
            assert!(dimension.slot() < slots);
        }
        for level in [Level::Session, Level::Event, Level::Parameter, Level::Error] {
            let mut slots: Vec<_> = Measure::ALL.iter().filter_map(|m| m.slot(level)).collect();
            slots.sort_unstable();
            let count = slots.len();
            assert_eq!(slots, (0..count).collect::<Vec<_>>());
            assert!(count <= SESSION_MEASURES);
        }
    }
}
