//! What a diagnosis costs the device: no login and no signature unless somebody asks for one.

use super::{Report, Scene};
use crate::support::softhsm::SoftHsm;
use crate::support::spy::Spy;

#[test]
fn nobody_is_logged_in_and_nothing_is_signed_unless_it_is_asked_for() {
    let scene = Scene::new();
    for (more, wanted) in [(&[][..], (0, 0, 0)), (&["--sign"], (1, 1, 1))] {
        let spy = Spy::before(SoftHsm::module());
        let run = scene.sandbox.command("doctor", ["--json", "--pkcs11", "pkcs11:token=demo", "--pkcs11-lib"]);
        let run = run.arg(Spy::module()).args(more).envs(spy.env()).envs(scene.token.env());
        Report::of(run.env("KEYANCHOR_PIN", crate::support::softhsm::TEST_USER_PIN), 0);
        let calls = spy.calls();
        assert_eq!((calls.of("C_Login"), calls.of("C_SignInit"), calls.of("C_Sign")), wanted);
        assert!(calls.of("C_FindObjects") > 0 && calls.of("C_Finalize") == 1, "{calls:?}");
    }
}
