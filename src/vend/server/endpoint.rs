//! What there is to ask for.

/// What was asked for; the label of the requests metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A session token.
    Token,
    /// The name of the IMDS role.
    Listing,
    /// The credentials of the IMDS role.
    Document,
    /// The region.
    Region,
    /// Container credentials.
    Container,
    /// Nothing that is served.
    None,
}

impl Endpoint {
    /// Every endpoint, in the order of the metric.
    pub const ALL: [Self; 6] = [Self::Token, Self::Listing, Self::Document, Self::Region, Self::Container, Self::None];

    /// The label of the metric.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Listing => "listing",
            Self::Document => "document",
            Self::Region => "region",
            Self::Container => "container",
            Self::None => "none",
        }
    }
}
