//! The CloudFormation template. Everything that somebody named stands in single quotes, which YAML reads as it is.

use std::fmt::{self, Write};

use super::{ACTIONS, AwsSetup, SERVICE, principal_tag};

pub(super) fn write(setup: &AwsSetup) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = all(setup, &mut text);
    text
}

fn all(setup: &AwsSetup, text: &mut String) -> fmt::Result {
    let name = &setup.name;
    writeln!(
        text,
        "# IAM Roles Anywhere for certificates of one CA, by keyanchor aws-template.\n\
         # aws cloudformation deploy --stack-name {name} --template-file THIS-FILE --capabilities CAPABILITY_NAMED_IAM\n\
         AWSTemplateFormatVersion: '2010-09-09'\n\
         Description: {}\n\
         Resources:",
        Quoted(&format!("IAM Roles Anywhere: {name}"))
    )?;
    trust_anchor(setup, text)?;
    revocations(setup, text)?;
    role(setup, text)?;
    profile(setup, text)?;
    text.write_str(
        "Outputs:
  TrustAnchorArn:
    Value: !GetAtt TrustAnchor.TrustAnchorArn
  ProfileArn:
    Value: !GetAtt Profile.ProfileArn
  RoleArn:
    Value: !GetAtt Role.Arn
",
    )
}

fn trust_anchor(setup: &AwsSetup, text: &mut String) -> fmt::Result {
    write!(
        text,
        "  TrustAnchor:
    Type: AWS::RolesAnywhere::TrustAnchor
    Properties:
      Name: {}
      Enabled: true
      Source:
        SourceType: CERTIFICATE_BUNDLE
        SourceData:
          X509CertificateData: |
",
        Quoted(&setup.name)
    )?;
    block(&setup.trust_anchor, 12, text)
}

fn revocations(setup: &AwsSetup, text: &mut String) -> fmt::Result {
    for (number, list) in setup.numbered_revocations() {
        write!(
            text,
            "  Revocations{number}:
    Type: AWS::RolesAnywhere::CRL
    Properties:
      Name: {}
      Enabled: true
      TrustAnchorArn: !GetAtt TrustAnchor.TrustAnchorArn
      CrlData: |
",
            Quoted(&format!("{}{number}", setup.name))
        )?;
        block(&list.pem, 8, text)?;
    }
    Ok(())
}

fn role(setup: &AwsSetup, text: &mut String) -> fmt::Result {
    writeln!(text, "  Role:\n    Type: AWS::IAM::Role\n    Properties:\n      RoleName: {}", Quoted(&setup.role_name))?;
    if let Some(seconds) = setup.role_session_duration() {
        writeln!(text, "      MaxSessionDuration: {seconds}")?;
    }
    write!(
        text,
        "      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement:
          - Effect: Allow
            Principal:
              Service: {SERVICE}
            Action:
"
    )?;
    ACTIONS.iter().try_for_each(|action| writeln!(text, "              - {action}"))?;
    write!(
        text,
        "            Condition:
              ArnEquals:
                aws:SourceArn: !GetAtt TrustAnchor.TrustAnchorArn
"
    )?;
    if !setup.tags.is_empty() {
        writeln!(text, "              StringEquals:")?;
    }
    for (key, values) in &setup.tags {
        write!(text, "                {}:", principal_tag(key))?;
        match values.as_slice() {
            [one] => writeln!(text, " {}", Quoted(one))?,
            several => list(several, 18, text)?,
        }
    }
    if !setup.managed_policies.is_empty() {
        write!(text, "      ManagedPolicyArns:")?;
        list(&setup.managed_policies, 8, text)?;
    }
    Ok(())
}

fn profile(setup: &AwsSetup, text: &mut String) -> fmt::Result {
    write!(
        text,
        "  Profile:
    Type: AWS::RolesAnywhere::Profile
    Properties:
      Name: {}
      Enabled: true
",
        Quoted(&setup.name)
    )?;
    if let Some(seconds) = setup.session_duration {
        writeln!(text, "      DurationSeconds: {seconds}")?;
    }
    if setup.accept_role_session_name {
        writeln!(text, "      AcceptRoleSessionName: true")?;
    }
    writeln!(text, "      RoleArns:\n        - !GetAtt Role.Arn")
}

/// The items below the line that is begun.
fn list(items: &[String], indentation: usize, text: &mut String) -> fmt::Result {
    writeln!(text)?;
    items.iter().try_for_each(|item| writeln!(text, "{:indentation$}- {}", "", Quoted(item)))
}

/// The lines of a literal block.
fn block(lines: &str, indentation: usize, text: &mut String) -> fmt::Result {
    lines.lines().try_for_each(|line| writeln!(text, "{:indentation$}{line}", ""))
}

/// A scalar in single quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}
