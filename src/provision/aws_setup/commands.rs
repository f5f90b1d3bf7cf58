//! The calls of the AWS CLI. Each is one line, so that they can be pasted one by one; what AWS answers is kept in variables.

use serde_json::json;

use super::AwsSetup;
use crate::files::shell_word;

/// What stands in the trust policy until the shell puts the ARN there. No name or value can hold it: it is no text for a policy.
const ANCHOR: &str = "\u{1}";

pub(super) fn write(setup: &AwsSetup) -> String {
    let (name, role) = (&setup.name, &setup.role_name);
    let mut lines = vec![
        "# IAM Roles Anywhere for certificates of one CA, by keyanchor aws-template --cli. For a shell, line by line."
            .to_owned(),
        trust_anchor(setup),
    ];
    lines.extend(setup.numbered_revocations().map(|(number, list)| {
        let file = shell_word(&format!("fileb://{}", list.path));
        format!(
            "aws rolesanywhere import-crl --name {name}{number} --enabled --trust-anchor-arn \"$TRUST_ANCHOR_ARN\" --crl-data {file}"
        )
    }));
    lines.push(create_role(setup));
    lines.extend(
        setup
            .managed_policies
            .iter()
            .map(|policy| format!("aws iam attach-role-policy --role-name {role} --policy-arn {}", shell_word(policy))),
    );
    // IAM says yes before all of AWS knows the role.
    lines.push(format!("aws iam wait role-exists --role-name {role}"));
    lines.push(create_profile(setup));
    let arns = "--trust-anchor-arn \"$TRUST_ANCHOR_ARN\" --profile-arn \"$PROFILE_ARN\" --role-arn \"$ROLE_ARN\"";
    lines.push(match &setup.configure {
        Some(command) => format!("{command} {arns}"),
        None => format!("# keyanchor configure --identity {name} {arns}, and the flags that name your key"),
    });
    lines.join("\n") + "\n"
}

fn trust_anchor(setup: &AwsSetup) -> String {
    let source = json!({
        "sourceType": "CERTIFICATE_BUNDLE",
        "sourceData": { "x509CertificateData": setup.trust_anchor },
    });
    format!(
        "TRUST_ANCHOR_ARN=$(aws rolesanywhere create-trust-anchor --name {} --enabled --source {} \
         --query trustAnchor.trustAnchorArn --output text)",
        setup.name,
        shell_word(&source.to_string())
    )
}

fn create_role(setup: &AwsSetup) -> String {
    let duration = setup.role_session_duration().map(|seconds| format!(" --max-session-duration {seconds}"));
    // JSON writes control characters as escapes.
    let policy = setup.trust_policy(ANCHOR).to_string();
    let parts: Vec<_> = policy.split("\\u0001").map(shell_word).collect();
    format!(
        "ROLE_ARN=$(aws iam create-role --role-name {} --assume-role-policy-document {}{} --query Role.Arn --output text)",
        setup.role_name,
        parts.join("\"$TRUST_ANCHOR_ARN\""),
        duration.unwrap_or_default()
    )
}

fn create_profile(setup: &AwsSetup) -> String {
    let mut flags = String::new();
    if let Some(seconds) = setup.session_duration {
        flags.push_str(&format!(" --duration-seconds {seconds}"));
    }
    if setup.accept_role_session_name {
        flags.push_str(" --accept-role-session-name");
    }
    format!(
        "PROFILE_ARN=$(aws rolesanywhere create-profile --name {} --enabled --role-arns \"$ROLE_ARN\"{flags} \
         --query profile.profileArn --output text)",
        setup.name
    )
}
