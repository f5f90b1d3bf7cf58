//! The binary: everything is in the library.

fn main() -> ! {
    // Before there are threads: it sets an environment variable.
    keyanchor::key::tpm::silence();
    keyanchor::end::process(keyanchor::cli::main())
}
