//! jCal: iCalendar as JSON, both ways (RFC 7265).
//!
//! **Gaps**: lines that are no content lines do not come along, and properties go before
//! components, because jCal has no place for the order between them.

use std::fmt;

use serde_json::{Map, Value};

use super::component::Component;
use super::jcal_values::{Kind, read_value, write_values};
use super::parse::Limits;
use super::property::Property;

/// A text is no jCal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JcalError {
    /// More bytes than the limit.
    TooLarge,
    /// Components nested deeper than the limit.
    TooDeep,
    /// It is no JSON, from this line and column on.
    Json(usize, usize),
    /// It is JSON, but something is not an array of the form that is written here.
    Shape(&'static str),
}

impl fmt::Display for JcalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JcalError::TooLarge => f.write_str("the text has more bytes than this server reads"),
            JcalError::TooDeep => {
                f.write_str("components are nested deeper than this server reads")
            }
            JcalError::Json(line, column) => {
                write!(f, "line {line}, column {column}: this is no JSON")
            }
            JcalError::Shape(shape) => write!(f, "this is no jCal: expected {shape}"),
        }
    }
}

impl std::error::Error for JcalError {}

/// The component as jCal. RFC 7265 §3
#[must_use]
pub fn to_jcal(component: &Component) -> String {
    component_value(component).to_string()
}

fn component_value(component: &Component) -> Value {
    let properties = component.all_properties().map(property_value).collect();
    let components = component.all_components().map(component_value).collect();
    Value::Array(vec![
        Value::String(component.name().to_ascii_lowercase()),
        Value::Array(properties),
        Value::Array(components),
    ])
}

fn property_value(property: &Property) -> Value {
    let (kind, values, is_decoded) = write_values(property);
    let mut params = Map::new();
    for param in property.params() {
        let name = param.name().to_ascii_lowercase();
        // "This property parameter MUST NOT be added to the parameters object." RFC 7265 §3.5.1
        if name == "value" || (name == "encoding" && is_decoded) {
            continue;
        }
        let values = param
            .values()
            .map(|value| Value::String(value.into_owned()));
        let list: &mut Value = params
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.extend(values);
        }
    }
    for (_, value) in &mut params {
        if let Value::Array(list) = value
            && list.len() == 1
        {
            *value = list.pop().unwrap_or_default();
        }
    }
    let mut array = vec![
        Value::String(property.name().to_ascii_lowercase()),
        Value::Object(params),
        Value::String(kind.name(property)),
    ];
    array.extend(values);
    Value::Array(array)
}

/// Reads one jCal object. RFC 7265 §4
///
/// # Errors
///
/// When the text is no jCal, or exceeds a limit.
pub fn from_jcal(text: &[u8], limits: &Limits) -> Result<Component, JcalError> {
    if text.len() > limits.bytes {
        return Err(JcalError::TooLarge);
    }
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| JcalError::Json(error.line(), error.column()))?;
    read_component(&value, limits.depth)
}

fn read_component(value: &Value, depth: usize) -> Result<Component, JcalError> {
    let depth = depth.checked_sub(1).ok_or(JcalError::TooDeep)?;
    let shape = JcalError::Shape("[name, [properties], [components]] for a component");
    let Some(
        [
            Value::String(name),
            Value::Array(properties),
            Value::Array(components),
        ],
    ) = value.as_array().map(Vec::as_slice)
    else {
        return Err(shape);
    };
    if !is_name(name) {
        return Err(JcalError::Shape("the name of a component"));
    }
    let mut component = Component::new(&name.to_ascii_uppercase());
    for property in properties {
        component.push(read_property(property)?);
    }
    for inner in components {
        component.push_component(read_component(inner, depth)?);
    }
    Ok(component)
}

fn read_property(value: &Value) -> Result<Property, JcalError> {
    let shape = JcalError::Shape("[name, {parameters}, type, values...] for a property");
    let Some(
        [
            Value::String(name),
            Value::Object(params),
            Value::String(kind),
            values @ ..,
        ],
    ) = value.as_array().map(Vec::as_slice)
    else {
        return Err(shape);
    };
    if !is_name(name) || values.is_empty() {
        return Err(shape);
    }
    let mut property = Property::new(&name.to_ascii_uppercase(), "");
    let kind = kind.to_ascii_lowercase();
    for (name, value) in params {
        set_param(&mut property, name, value)?;
    }
    let default = Kind::default_of(&property);
    if kind != "unknown" && default.type_name() != Some(kind.as_str()) {
        property.set_param("VALUE", &kind.to_ascii_uppercase());
    }
    let read = Kind::parse(&kind);
    if read == Kind::Binary {
        property.set_param("ENCODING", "BASE64");
    }
    let values: Vec<String> = values.iter().map(|value| read_value(read, value)).collect();
    property.set_value(&values.join(","));
    Ok(property)
}

fn set_param(property: &mut Property, name: &str, value: &Value) -> Result<(), JcalError> {
    let shape = JcalError::Shape("a string or an array of strings for a parameter");
    if !is_name(name) {
        return Err(JcalError::Shape("the name of a parameter"));
    }
    let name = name.to_ascii_uppercase();
    match value {
        Value::String(text) => property.set_param(&name, text),
        Value::Array(list) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            property.set_param_values(&name, &texts.ok_or(shape)?);
        }
        _ => return Err(shape),
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.bytes().all(good)
}
