//! An Arrow schema as Parquet says it, element by element as pyarrow does.

use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::thrift::{Compact, STRUCT};

/// Physical types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Physical {
    Boolean = 0,
    Int32 = 1,
    Int64 = 2,
    Float = 4,
    Double = 5,
    ByteArray = 6,
}

/// A column that holds values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Names from the root, those of lists' groups included.
    pub path: Vec<String>,
    pub physical: Physical,
}

impl Leaf {
    /// `sessions.list.element.start`
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }
}

/// Every leaf of a schema, in order.
pub fn leaves(fields: &Fields) -> Vec<Leaf> {
    fn walk(field: &Field, path: &mut Vec<String>, found: &mut Vec<Leaf>) {
        path.push(field.name().clone());
        match field.data_type() {
            DataType::Struct(fields) => fields.iter().for_each(|f| walk(f, path, found)),
            DataType::List(item) => {
                path.push("list".to_owned());
                walk(item, path, found);
                path.pop();
            }
            data_type => found.push(Leaf {
                path: path.clone(),
                physical: physical(data_type),
            }),
        }
        path.pop();
    }
    let mut found = Vec::new();
    fields
        .iter()
        .for_each(|field| walk(field, &mut Vec::new(), &mut found));
    found
}

fn physical(data_type: &DataType) -> Physical {
    match data_type {
        DataType::Boolean => Physical::Boolean,
        DataType::Float32 => Physical::Float,
        DataType::Float64 => Physical::Double,
        DataType::Int64 | DataType::Timestamp(..) => Physical::Int64,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt32 => Physical::Int32,
        _ => Physical::ByteArray,
    }
}

const REQUIRED: i32 = 0;
const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;

/// The number of elements, and the elements one after the other.
pub fn elements(fields: &Fields) -> (usize, Vec<u8>) {
    let mut out = Vec::new();
    let mut root = Compact::new(&mut out);
    root.i32(3, REQUIRED);
    root.bytes(4, b"schema");
    root.i32(5, fields.len() as i32);
    root.end();
    let mut count = 1;
    fields
        .iter()
        .for_each(|field| element(field, &mut count, &mut out));
    (count, out)
}

fn element(field: &Field, count: &mut usize, out: &mut Vec<u8>) {
    *count += 1;
    let repetition = if field.is_nullable() {
        OPTIONAL
    } else {
        REQUIRED
    };
    let mut this = Compact::new(out);
    match field.data_type() {
        DataType::Struct(fields) => {
            this.i32(3, repetition);
            this.bytes(4, field.name().as_bytes());
            this.i32(5, fields.len() as i32);
            this.end();
            fields.iter().for_each(|field| element(field, count, out));
        }
        DataType::List(item) => {
            this.i32(3, repetition);
            this.bytes(4, field.name().as_bytes());
            this.i32(5, 1);
            this.i32(6, 3); // LIST
            this.begin(10);
            this.empty(3);
            this.end();
            this.end();
            *count += 1;
            let mut list = Compact::new(out);
            list.i32(3, REPEATED);
            list.bytes(4, b"list");
            list.i32(5, 1);
            list.end();
            element(item, count, out);
        }
        data_type => {
            this.i32(1, physical(data_type) as i32);
            this.i32(3, repetition);
            this.bytes(4, field.name().as_bytes());
            annotate(data_type, &mut this);
            this.end();
        }
    }
}

/// Converted type (6) and logical type (10).
fn annotate(data_type: &DataType, this: &mut Compact<'_>) {
    let mut integer = |converted: i32, bits: i8, signed: bool| {
        this.i32(6, converted);
        this.begin(10);
        this.begin(10);
        this.i8(1, bits);
        this.bool(2, signed);
        this.end();
        this.end();
    };
    match data_type {
        DataType::UInt32 => integer(13, 32, false),
        DataType::Int8 => integer(15, 8, true),
        DataType::Int16 => integer(16, 16, true),
        DataType::Utf8 => {
            this.i32(6, 0);
            this.begin(10);
            this.empty(1);
            this.end();
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            this.i32(6, 9);
            this.begin(10);
            this.begin(8);
            this.bool(1, zone.is_some());
            this.begin(2);
            this.empty(1);
            this.end();
            this.end();
            this.end();
        }
        _ => {}
    }
}

/// `column_orders` (7): every leaf is ordered as its type says.
pub fn write_orders(leaves: usize, footer: &mut Compact<'_>) {
    footer.list(7, STRUCT, leaves);
    for _ in 0..leaves {
        footer.begin_element();
        footer.empty(1);
        footer.end();
    }
}
