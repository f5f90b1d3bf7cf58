//! A PKCS#11 module for tests: forwards to a real one and injects the faults a real one cannot make.
