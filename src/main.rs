//! The binary: everything is in the library.

fn main() -> ! {
    keyanchor::end::process(keyanchor::cli::main())
}
