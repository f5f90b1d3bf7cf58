//! The fault-injecting module: without faults it is the real module, and each fault is what it says.
