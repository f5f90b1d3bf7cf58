//! The binary: everything is in the library.

use keyanchor::process::{end, start};
use keyanchor::{cli, key};

fn main() -> ! {
    start::share_one_arena();
    // Before there are threads: it sets an environment variable.
    key::tpm::silence();
    end::process(cli::main())
}
