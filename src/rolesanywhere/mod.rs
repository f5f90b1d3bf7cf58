//! The Roles Anywhere client: ARNs, regions, endpoints, CreateSession, its errors, its connection. Knows no outputs.
