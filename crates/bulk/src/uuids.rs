//! UUIDs: bytes of the fixed size 16 with a note that they are, which Arrow and Parquet write each in its own way.

use std::sync::Arc;

use arrow_schema::extension::EXTENSION_TYPE_NAME_KEY;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::LogicalType;
use parquet::errors::Result;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// What their bytes are. Hashes are, too.
pub(crate) const BYTES: DataType = DataType::FixedSizeBinary(16);

const NAME: &str = "arrow.uuid";

/// Whether a column says that its values are UUIDs, in Arrow's way.
pub(crate) fn are_in(field: &Field) -> bool {
    let kind = match field.data_type() {
        DataType::Dictionary(_, values) => values,
        kind => kind,
    };
    *kind == BYTES && field.extension_type_name() == Some(NAME)
}

/// The canonical form of RFC 9562.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        text += &format!("{byte:02x}");
    }
    text
}

/// The columns of a file, with Arrow's note where only Parquet's is.
pub(crate) fn noted(schema: &SchemaRef, parquet: &SchemaDescriptor) -> SchemaRef {
    let roots = parquet.root_schema().get_fields();
    let fields = schema.fields().iter().enumerate().map(|(place, field)| {
        let says_so = roots.get(place).is_some_and(|root| logical_type(root) == Some(&LogicalType::Uuid));
        if says_so && field.extension_type_name().is_none() { note(field) } else { Arc::clone(field) }
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

fn logical_type(root: &Type) -> Option<&LogicalType> {
    root.get_basic_info().logical_type_ref()
}

fn note(field: &FieldRef) -> FieldRef {
    let mut about = field.metadata().clone();
    about.insert(EXTENSION_TYPE_NAME_KEY.to_owned(), NAME.to_owned());
    Arc::new(field.as_ref().clone().with_metadata(about))
}

/// The columns as Parquet has them, with its note where Arrow's is: not every reader looks for that one.
pub(crate) fn parquet_schema(schema: &Schema) -> Result<SchemaDescriptor> {
    let plain = ArrowSchemaConverter::new().convert(schema)?;
    let root = plain.root_schema();
    let fields = schema.fields().iter().zip(root.get_fields());
    let fields =
        fields.map(|(field, kind)| if are_in(field) { in_parquet(kind) } else { Ok(Arc::clone(kind)) });
    let root = Type::group_type_builder(root.name()).with_fields(fields.collect::<Result<_>>()?).build()?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

fn in_parquet(plain: &Type) -> Result<TypePtr> {
    let about = plain.get_basic_info();
    let kind = Type::primitive_type_builder(plain.name(), plain.get_physical_type())
        .with_repetition(about.repetition())
        .with_length(16)
        .with_logical_type(Some(LogicalType::Uuid));
    kind.build().map(Arc::new)
}
