//! What AWS must be told so that certificates of a CA give credentials: a trust anchor, a role that trusts it, and a profile. As a
//! CloudFormation template and as calls of the AWS CLI. Pure: text in, text out.
//!
//! The role can be assumed by certificates under this trust anchor alone, and by those alone that have the wanted names. Without both
//! conditions every certificate under any trust anchor of the account could assume it (IAM Roles Anywhere User Guide, "Trust policy").

mod commands;
mod template;

use serde_json::{Value, json};

/// A trust anchor, a role and a profile.
#[derive(Clone, Debug)]
pub struct AwsSetup {
    /// Of trust anchor, profile and revocation list: letters, digits, `-` and `_`.
    pub name: String,
    /// Of the role; the same characters.
    pub role_name: String,
    /// The CA's certificates, PEM.
    pub trust_anchor: String,
    /// What the CA and its intermediates have revoked.
    pub revocations: Vec<RevocationList>,
    /// Session tags that the role wants, such as `x509Subject/CN`, and the values that it takes for each.
    pub tags: Vec<(String, Vec<String>)>,
    /// Policies of the role.
    pub managed_policies: Vec<String>,
    /// Longest life of its credentials in seconds, 900 to 43200, where that is not AWS's hour.
    pub session_duration: Option<u32>,
    /// Whether callers may name their session.
    pub accept_role_session_name: bool,
    /// The command that writes the identity, but for the ARNs; `None` where its key is not known.
    pub configure: Option<String>,
}

/// A revocation list, and where it is.
#[derive(Clone, Debug)]
pub struct RevocationList {
    /// PEM.
    pub pem: String,
    /// For the AWS CLI, which reads it itself.
    pub path: String,
}

/// The actions that Roles Anywhere takes when it assumes a role: without the last one it answers no more than "unable to assume".
const ACTIONS: [&str; 3] = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"];

/// Who assumes the role.
const SERVICE: &str = "rolesanywhere.amazonaws.com";

/// A role cannot have a shorter longest session (IAM, CreateRole).
const SHORTEST_ROLE_SESSION: u32 = 3600;

impl AwsSetup {
    /// A CloudFormation template, YAML.
    pub fn template(&self) -> String {
        template::write(self)
    }

    /// Commands for a POSIX shell, one per line, that make the same.
    pub fn commands(&self) -> String {
        commands::write(self)
    }

    /// Each list with what sets its name apart: nothing for the first, then a number.
    fn numbered_revocations(&self) -> impl Iterator<Item = (String, &RevocationList)> {
        let suffix = |number: usize| if number == 1 { String::new() } else { number.to_string() };
        self.revocations.iter().enumerate().map(move |(index, list)| (suffix(index + 1), list))
    }

    fn role_session_duration(&self) -> Option<u32> {
        self.session_duration.map(|seconds| seconds.max(SHORTEST_ROLE_SESSION))
    }

    /// The trust policy of the role, for a trust anchor of this ARN.
    fn trust_policy(&self, trust_anchor_arn: &str) -> Value {
        let mut condition = json!({ "ArnEquals": { "aws:SourceArn": trust_anchor_arn } });
        let tags = self.tags.iter().map(|(key, values)| {
            let value = match values.as_slice() {
                [one] => Value::from(one.as_str()),
                several => Value::from(several),
            };
            (principal_tag(key), value)
        });
        let tags: serde_json::Map<String, Value> = tags.collect();
        if let (false, Some(condition)) = (tags.is_empty(), condition.as_object_mut()) {
            condition.insert("StringEquals".to_owned(), tags.into());
        }
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": SERVICE },
                "Action": ACTIONS,
                "Condition": condition,
            }],
        })
    }
}

fn principal_tag(key: &str) -> String {
    format!("aws:PrincipalTag/{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> AwsSetup {
        AwsSetup {
            name: "web".into(),
            role_name: "web-role".into(),
            trust_anchor: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            revocations: vec![RevocationList {
                pem: "-----BEGIN X509 CRL-----\nBB\n-----END X509 CRL-----\n".into(),
                path: "/my ca/crl.pem".into(),
            }],
            tags: vec![
                ("x509Subject/CN".into(), vec!["it's".into(), "b".into()]),
                ("x509Issuer/O".into(), vec!["Example: Org".into()]),
            ],
            managed_policies: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into()],
            session_duration: Some(900),
            accept_role_session_name: true,
            configure: Some("keyanchor configure --identity web --tpm /k.pem".into()),
        }
    }

    #[test]
    fn the_template_says_all_that_was_asked_for() {
        let expected = "\
# IAM Roles Anywhere for certificates of one CA, by keyanchor aws-template.
# aws cloudformation deploy --stack-name web --template-file THIS-FILE --capabilities CAPABILITY_NAMED_IAM
AWSTemplateFormatVersion: '2010-09-09'
Description: 'IAM Roles Anywhere: web'
Resources:
  TrustAnchor:
    Type: AWS::RolesAnywhere::TrustAnchor
    Properties:
      Name: 'web'
      Enabled: true
      Source:
        SourceType: CERTIFICATE_BUNDLE
        SourceData:
          X509CertificateData: |
            -----BEGIN CERTIFICATE-----
            AAAA
            -----END CERTIFICATE-----
  Revocations:
    Type: AWS::RolesAnywhere::CRL
    Properties:
      Name: 'web'
      Enabled: true
      TrustAnchorArn: !GetAtt TrustAnchor.TrustAnchorArn
      CrlData: |
        -----BEGIN X509 CRL-----
        BB
        -----END X509 CRL-----
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: 'web-role'
      MaxSessionDuration: 3600
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement:
          - Effect: Allow
            Principal:
              Service: rolesanywhere.amazonaws.com
            Action:
              - sts:AssumeRole
              - sts:TagSession
              - sts:SetSourceIdentity
            Condition:
              ArnEquals:
                aws:SourceArn: !GetAtt TrustAnchor.TrustAnchorArn
              StringEquals:
                aws:PrincipalTag/x509Subject/CN:
                  - 'it''s'
                  - 'b'
                aws:PrincipalTag/x509Issuer/O: 'Example: Org'
      ManagedPolicyArns:
        - 'arn:aws:iam::aws:policy/ReadOnlyAccess'
  Profile:
    Type: AWS::RolesAnywhere::Profile
    Properties:
      Name: 'web'
      Enabled: true
      DurationSeconds: 900
      AcceptRoleSessionName: true
      RoleArns:
        - !GetAtt Role.Arn
Outputs:
  TrustAnchorArn:
    Value: !GetAtt TrustAnchor.TrustAnchorArn
  ProfileArn:
    Value: !GetAtt Profile.ProfileArn
  RoleArn:
    Value: !GetAtt Role.Arn
";
        assert_eq!(setup().template(), expected);
    }

    #[test]
    fn several_lists_have_names_of_their_own() {
        let mut setup = setup();
        setup.revocations.push(setup.revocations[0].clone());
        let template = setup.template();
        assert!(template.contains("\n  Revocations:\n") && template.contains("\n  Revocations2:\n"), "{template}");
        assert!(template.contains("Name: 'web2'"), "{template}");
        assert!(setup.commands().contains("import-crl --name web2 --enabled"), "{}", setup.commands());
    }

    #[test]
    fn the_commands_hand_on_what_aws_answers() {
        let commands = setup().commands();
        let lines: Vec<_> = commands.lines().filter(|line| !line.starts_with('#')).collect();
        let programs: Vec<_> = lines.iter().map(|line| line.split(" --").next().unwrap()).collect();
        assert_eq!(
            programs,
            [
                "TRUST_ANCHOR_ARN=$(aws rolesanywhere create-trust-anchor",
                "aws rolesanywhere import-crl",
                "ROLE_ARN=$(aws iam create-role",
                "aws iam attach-role-policy",
                "aws iam wait role-exists",
                "PROFILE_ARN=$(aws rolesanywhere create-profile",
                "keyanchor configure",
            ]
        );
        assert!(lines[1].contains("--crl-data 'fileb:///my ca/crl.pem'"), "{commands}");
        assert!(lines[2].contains(r#""aws:SourceArn":"'"$TRUST_ANCHOR_ARN"'"}"#), "{commands}");
        assert!(lines[2].contains(r"it'\''s"), "{commands}");
        assert!(lines[6].ends_with("--role-arn \"$ROLE_ARN\""), "{commands}");
    }

    #[test]
    fn what_is_not_asked_for_is_not_there() {
        let setup = AwsSetup {
            revocations: Vec::new(),
            tags: Vec::new(),
            managed_policies: Vec::new(),
            session_duration: None,
            accept_role_session_name: false,
            configure: None,
            ..setup()
        };
        for absent in ["CRL", "StringEquals", "ManagedPolicyArns", "Duration", "AcceptRoleSessionName"] {
            assert!(!setup.template().contains(absent), "{absent}");
        }
        let commands = setup.commands();
        for absent in ["crl", "StringEquals", "attach-role-policy", "duration", "accept-role-session-name"] {
            assert!(!commands.contains(absent), "{absent}: {commands}");
        }
        assert!(commands.lines().last().unwrap().starts_with("# keyanchor configure --identity web "), "{commands}");
    }
}
