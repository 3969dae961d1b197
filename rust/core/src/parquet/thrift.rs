//! The part of Thrift's compact protocol that Parquet's headers and footers need.

use super::bits::varint;

/// Types of fields and elements.
const I8: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
pub const BINARY: u8 = 8;
const LIST: u8 = 9;
pub const STRUCT: u8 = 12;
const TRUE: u8 = 1;
const FALSE: u8 = 2;

/// The type of an element that is an i32, an i64 or a bool.
pub const I32_ELEMENT: u8 = I32;
pub const I64_ELEMENT: u8 = I64;
pub const BOOL_ELEMENT: u8 = TRUE;

/// One struct after the other, field by field in the order of their ids.
pub struct Compact<'a> {
    out: &'a mut Vec<u8>,
    last: i16,
    outer: Vec<i16>,
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

impl<'a> Compact<'a> {
    /// Inside a struct whose fields go to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            last: 0,
            outer: Vec::new(),
        }
    }

    fn field(&mut self, id: i16, kind: u8) {
        match id - self.last {
            delta @ 1..=15 => self.out.push((delta as u8) << 4 | kind),
            _ => {
                self.out.push(kind);
                varint(self.out, zigzag(id.into()));
            }
        }
        self.last = id;
    }

    pub fn bool(&mut self, id: i16, value: bool) {
        self.field(id, if value { TRUE } else { FALSE });
    }

    pub fn i8(&mut self, id: i16, value: i8) {
        self.field(id, I8);
        self.out.push(value as u8);
    }

    pub fn i16(&mut self, id: i16, value: i16) {
        self.field(id, I16);
        varint(self.out, zigzag(value.into()));
    }

    pub fn i32(&mut self, id: i16, value: i32) {
        self.field(id, I32);
        varint(self.out, zigzag(value.into()));
    }

    pub fn i64(&mut self, id: i16, value: i64) {
        self.field(id, I64);
        varint(self.out, zigzag(value));
    }

    /// A binary or string.
    pub fn bytes(&mut self, id: i16, value: &[u8]) {
        self.field(id, BINARY);
        self.bytes_element(value);
    }

    /// A field that is a struct; `end` closes it.
    pub fn begin(&mut self, id: i16) {
        self.field(id, STRUCT);
        self.begin_element();
    }

    /// An element that is a struct; `end` closes it.
    pub fn begin_element(&mut self) {
        self.outer.push(self.last);
        self.last = 0;
    }

    /// Ends the innermost struct, the outermost included.
    pub fn end(&mut self) {
        self.out.push(0);
        self.last = self.outer.pop().unwrap_or_default();
    }

    /// A field that is a struct without fields: how unions name a choice.
    pub fn empty(&mut self, id: i16) {
        self.begin(id);
        self.end();
    }

    /// A field that is a list; its `len` elements follow.
    pub fn list(&mut self, id: i16, element: u8, len: usize) {
        self.field(id, LIST);
        match len {
            0..=14 => self.out.push((len as u8) << 4 | element),
            _ => {
                self.out.push(0xF0 | element);
                varint(self.out, len as u64);
            }
        }
    }

    /// Fields or elements that are encoded already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub fn i32_element(&mut self, value: i32) {
        varint(self.out, zigzag(value.into()));
    }

    pub fn i64_element(&mut self, value: i64) {
        varint(self.out, zigzag(value));
    }

    pub fn bool_element(&mut self, value: bool) {
        self.out.push(if value { TRUE } else { FALSE });
    }

    pub fn bytes_element(&mut self, value: &[u8]) {
        varint(self.out, value.len() as u64);
        self.out.extend_from_slice(value);
    }
}
