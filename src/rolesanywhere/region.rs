//! Regions, and the hosts that the service has in each partition.

use super::error::RequestError;

/// A region's name: a DNS label, part of the host and of the signature's scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region(String);

/// Host suffixes of a partition, and how its regions' names begin.
struct Partition {
    prefix: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
}

/// As botocore's `partitions.json` has them.
const PARTITIONS: [Partition; 7] = [
    Partition { prefix: "cn-", suffix: "amazonaws.com.cn", dual_stack_suffix: "api.amazonwebservices.com.cn" },
    Partition { prefix: "us-gov-", suffix: "amazonaws.com", dual_stack_suffix: "api.aws" },
    Partition { prefix: "eusc-", suffix: "amazonaws.eu", dual_stack_suffix: "api.amazonwebservices.eu" },
    Partition { prefix: "us-iso-", suffix: "c2s.ic.gov", dual_stack_suffix: "api.aws.ic.gov" },
    Partition { prefix: "us-isob-", suffix: "sc2s.sgov.gov", dual_stack_suffix: "api.aws.scloud" },
    Partition { prefix: "eu-isoe-", suffix: "cloud.adc-e.uk", dual_stack_suffix: "api.cloud-aws.adc-e.uk" },
    Partition { prefix: "us-isof-", suffix: "csp.hci.ic.gov", dual_stack_suffix: "api.aws.hci.ic.gov" },
];

/// Regions that no other partition names belong to this one, also those that do not exist yet.
const COMMERCIAL: Partition = Partition { prefix: "", suffix: "amazonaws.com", dual_stack_suffix: "api.aws" };

impl Region {
    /// Reads a region; `place` says where it was written.
    pub(super) fn parse(text: &str, place: &str) -> Result<Self, RequestError> {
        let unreadable = RequestError::new(format!("{place}: wanted a region such as us-east-1, found {text:?}"));
        // The names that old SDKs had for FIPS hosts would end in the signature's scope, and fail there.
        if text.starts_with("fips-") || text.ends_with("-fips") {
            return Err(unreadable.with_flag("--fips"));
        }
        let is_label = (1..=63).contains(&text.len())
            && text.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-');
        if !is_label {
            return Err(unreadable);
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The service's host in this region.
    pub(super) fn host(&self, fips: bool, dual_stack: bool) -> String {
        let partition = PARTITIONS.iter().find(|partition| self.0.starts_with(partition.prefix)).unwrap_or(&COMMERCIAL);
        let service = if fips { "rolesanywhere-fips" } else { "rolesanywhere" };
        let suffix = if dual_stack { partition.dual_stack_suffix } else { partition.suffix };
        format!("{service}.{}.{suffix}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(text: &str) -> Region {
        Region::parse(text, "--region").unwrap()
    }

    #[test]
    fn every_partition_has_its_hosts() {
        let table = [
            ("us-east-1", "amazonaws.com", "api.aws"),
            ("mx-central-1", "amazonaws.com", "api.aws"),
            ("zz-nowhere-9", "amazonaws.com", "api.aws"),
            ("cn-north-1", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
            ("us-gov-west-1", "amazonaws.com", "api.aws"),
            ("eusc-de-east-1", "amazonaws.eu", "api.amazonwebservices.eu"),
            ("us-iso-east-1", "c2s.ic.gov", "api.aws.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov", "api.aws.scloud"),
            ("eu-isoe-west-1", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
            ("us-isof-south-1", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
        ];
        for (name, suffix, dual_stack_suffix) in table {
            assert_eq!(region(name).host(false, false), format!("rolesanywhere.{name}.{suffix}"));
            assert_eq!(region(name).host(true, true), format!("rolesanywhere-fips.{name}.{dual_stack_suffix}"));
        }
    }

    #[test]
    fn what_is_no_dns_label_is_refused() {
        let long = "a".repeat(64);
        for text in ["", "-", "us-east-1.", "us_east_1", "US-EAST-1", "us-east-1/", "evil.example#", &long, "a\nb"] {
            let error = Region::parse(text, "--region").unwrap_err().to_string();
            assert!(error.starts_with("--region: wanted a region such as us-east-1, found"), "{error}");
        }
    }

    #[test]
    fn a_region_that_means_fips_is_told_to_use_the_flag() {
        for text in ["fips-us-east-1", "us-east-1-fips"] {
            assert_eq!(Region::parse(text, "--region").unwrap_err().flag(), Some("--fips"));
        }
    }
}
