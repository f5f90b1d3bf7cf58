//! SigV4-X509: canonical request, string to sign, Authorization header. Pure: no clock, no key, no client.
