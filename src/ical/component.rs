//! A component: what stands between BEGIN and END (RFC 5545 §3.6), in the order it was written.

use std::borrow::Cow;

use super::property::Property;

/// A component with its properties and components, interleaved as in the input. Two are equal when
/// their logical lines are: folding and place do not count.
#[derive(Clone, Debug)]
pub struct Component {
    name: Cow<'static, str>,
    /// What it contains, in order.
    pub items: Vec<Item>,
    number: u32,
    frame: Option<Box<Frame>>,
}

/// Names that cost no allocation. RFC 5545 §3.6, RFC 7953 §3.1, RFC 9073 §7.1
const NAMES: [&str; 14] = [
    "VEVENT",
    "VALARM",
    "VCALENDAR",
    "VTIMEZONE",
    "STANDARD",
    "DAYLIGHT",
    "VTODO",
    "VJOURNAL",
    "VFREEBUSY",
    "VAVAILABILITY",
    "AVAILABLE",
    "PARTICIPANT",
    "VLOCATION",
    "VRESOURCE",
];

/// Something inside a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A content line.
    Property(Property),
    /// A component inside this one.
    Component(Component),
    /// A line that is neither, kept as it came.
    Junk(Junk),
}

/// A line that is no content line, with its line number. It is printed as it came.
#[derive(Clone, Debug)]
pub struct Junk {
    pub(crate) raw: Box<[u8]>,
    pub(crate) number: u32,
}

/// BEGIN and END lines that differ from how we write them.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) begin: Box<[u8]>,
    pub(crate) end: Box<[u8]>,
}

impl Component {
    /// An empty component. Characters that may not stand in a name are left out.
    #[must_use]
    pub fn new(name: &str) -> Component {
        Component::read(&super::text::clean_name(name), 0)
    }

    /// A component whose BEGIN the reader found at a line of the input.
    pub(crate) fn read(name: &str, number: u32) -> Component {
        let known = NAMES.iter().find(|known| **known == name);
        Component {
            name: known.map_or_else(
                || Cow::Owned(name.to_owned()),
                |known| Cow::Borrowed(*known),
            ),
            items: Vec::new(),
            number,
            frame: None,
        }
    }

    /// How BEGIN and END were written, where not as we write them.
    pub(crate) fn frame(&self) -> Option<&Frame> {
        self.frame.as_deref()
    }

    pub(crate) fn set_frame(&mut self, frame: Frame) {
        self.frame = Some(Box::new(frame));
    }

    /// The name as written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is its name, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.name.eq_ignore_ascii_case(name)
    }

    /// The line of the input where it begins, from 1; 0 when code made it.
    #[must_use]
    pub fn line_number(&self) -> u32 {
        self.number
    }

    /// All properties, in order.
    pub fn all_properties(&self) -> impl Iterator<Item = &Property> {
        self.items.iter().filter_map(|item| match item {
            Item::Property(property) => Some(property),
            Item::Component(_) | Item::Junk(_) => None,
        })
    }

    /// All properties, in order, to be edited.
    pub fn all_properties_mut(&mut self) -> impl Iterator<Item = &mut Property> {
        self.items.iter_mut().filter_map(|item| match item {
            Item::Property(property) => Some(property),
            Item::Component(_) | Item::Junk(_) => None,
        })
    }

    /// The properties of that name, in order.
    pub fn properties(&self, name: &str) -> impl Iterator<Item = &Property> {
        self.all_properties().filter(move |it| it.is(name))
    }

    /// The properties of that name, in order, to be edited.
    pub fn properties_mut(&mut self, name: &str) -> impl Iterator<Item = &mut Property> {
        self.all_properties_mut().filter(move |it| it.is(name))
    }

    /// The first property of that name.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties(name).next()
    }

    /// The first property of that name, to be edited.
    #[must_use]
    pub fn property_mut(&mut self, name: &str) -> Option<&mut Property> {
        self.properties_mut(name).next()
    }

    /// The TEXT of the first property of that name. RFC 5545 §3.3.11
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.property(name).map(Property::text)
    }

    /// All components directly inside, in order.
    pub fn all_components(&self) -> impl Iterator<Item = &Component> {
        self.items.iter().filter_map(|item| match item {
            Item::Component(component) => Some(component),
            Item::Property(_) | Item::Junk(_) => None,
        })
    }

    /// All components directly inside, in order, to be edited.
    pub fn all_components_mut(&mut self) -> impl Iterator<Item = &mut Component> {
        self.items.iter_mut().filter_map(|item| match item {
            Item::Component(component) => Some(component),
            Item::Property(_) | Item::Junk(_) => None,
        })
    }

    /// The components of that name directly inside, in order.
    pub fn components(&self, name: &str) -> impl Iterator<Item = &Component> {
        self.all_components().filter(move |it| it.is(name))
    }

    /// The components of that name directly inside, in order, to be edited.
    pub fn components_mut(&mut self, name: &str) -> impl Iterator<Item = &mut Component> {
        self.all_components_mut().filter(move |it| it.is(name))
    }

    /// The first component of that name directly inside.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components(name).next()
    }

    /// The first component of that name directly inside, to be edited.
    #[must_use]
    pub fn component_mut(&mut self, name: &str) -> Option<&mut Component> {
        self.components_mut(name).next()
    }

    /// Sets a property that stands once: in place of the first of its name, the others are removed;
    /// else after the last property.
    pub fn set(&mut self, property: Property) {
        let Some(place) = self
            .items
            .iter()
            .position(|it| it.is_property(property.name()))
        else {
            return self.push(property);
        };
        let mut seen = false;
        self.items.retain(|item| {
            let keep = !item.is_property(property.name()) || !seen;
            seen |= item.is_property(property.name());
            keep
        });
        if let Some(item) = self.items.get_mut(place) {
            *item = Item::Property(property);
        }
    }

    /// Adds a property after the last one, before the first component.
    pub fn push(&mut self, property: Property) {
        let last = self
            .items
            .iter()
            .rposition(|item| matches!(item, Item::Property(_)));
        let place = last.map_or(0, |place| place + 1);
        self.items.insert(place, Item::Property(property));
    }

    /// Adds a component at the end.
    pub fn push_component(&mut self, component: Component) {
        self.items.push(Item::Component(component));
    }

    /// Removes all properties of that name; answers how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.items.len();
        self.items.retain(|item| !item.is_property(name));
        before - self.items.len()
    }

    /// Keeps only the properties the test accepts; components stay.
    pub fn retain_properties(&mut self, mut test: impl FnMut(&Property) -> bool) {
        self.items.retain(|item| match item {
            Item::Property(property) => test(property),
            Item::Component(_) | Item::Junk(_) => true,
        });
    }

    /// Keeps only the components the test accepts; properties stay.
    pub fn retain_components(&mut self, mut test: impl FnMut(&Component) -> bool) {
        self.items.retain(|item| match item {
            Item::Component(component) => test(component),
            Item::Property(_) | Item::Junk(_) => true,
        });
    }

    /// A copy of it with only the items the test accepts.
    #[must_use]
    pub fn filtered(&self, test: impl Fn(&Item) -> bool) -> Component {
        Component {
            name: self.name.clone(),
            items: self
                .items
                .iter()
                .filter(|item| test(item))
                .cloned()
                .collect(),
            number: self.number,
            frame: self.frame.clone(),
        }
    }

    /// A copy of it without the components inside.
    #[must_use]
    pub fn without_components(&self) -> Component {
        self.filtered(|item| !matches!(item, Item::Component(_)))
    }

    /// The same component with one more property.
    #[must_use]
    pub fn with(mut self, property: Property) -> Component {
        self.push(property);
        self
    }

    /// The same component with one more component inside.
    #[must_use]
    pub fn with_component(mut self, component: Component) -> Component {
        self.push_component(component);
        self
    }
}

/// What this program names itself in objects it writes. RFC 5545 §3.7.3
pub const PRODID: &str = "-//Kalends//Kalends//EN";

/// A VCALENDAR without components, by this program. RFC 5545 §3.6
#[must_use]
pub fn empty_calendar() -> Component {
    Component::new("VCALENDAR")
        .with(Property::new("VERSION", "2.0"))
        .with(Property::new("PRODID", PRODID))
}

impl PartialEq for Component {
    fn eq(&self, other: &Component) -> bool {
        self.name == other.name && self.items == other.items
    }
}

impl Eq for Component {}

impl Item {
    fn is_property(&self, name: &str) -> bool {
        matches!(self, Item::Property(property) if property.is(name))
    }
}

impl Junk {
    /// The line of the input where it stood, from 1.
    #[must_use]
    pub fn line_number(&self) -> u32 {
        self.number
    }

    /// The bytes as they came, without the line end.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.raw
    }
}

impl PartialEq for Junk {
    fn eq(&self, other: &Junk) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Junk {}
