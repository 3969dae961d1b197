//! The engine's rules one by one.

use super::super::*;
use super::harness::*;
