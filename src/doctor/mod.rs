//! Walks the whole road from device to credential, read-only, and says of each step what was found and what mends it. Its checks give
//! facts; words and layout belong to the command line.
