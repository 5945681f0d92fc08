//! `keepalived:` as written.

use crate::catalogue::ArtifactPath;
use crate::document::{At, Fields, Item};
use crate::ids::{ImageReference, VirtualRouterId};
use crate::inventory::model::{InstallAs, RunOn, SecretReference, Transport};

use super::{one_or_many, read_secret};

#[derive(Debug, Default)]
pub struct Keepalived {
    pub virtual_router_id: Option<At<VirtualRouterId>>,
    pub other_virtual_router_ids: Vec<At<VirtualRouterId>>,
    pub advert_int: Option<At<u32>>,
    pub preempt_delay: Option<At<u32>>,
    pub auth_pass: Option<At<SecretReference>>,
    pub auth_hmac: Option<At<SecretReference>>,
    pub transport: Option<At<Transport>>,
    pub image: Option<At<ImageReference>>,
    pub image_archive: Option<At<ArtifactPath>>,
    pub image_has_curl: Option<At<bool>>,
    pub install: Option<At<InstallAs>>,
    pub run_on: Option<At<RunOn>>,
    pub interval: Option<At<u32>>,
    pub timeout: Option<At<u32>>,
    pub fall: Option<At<u32>>,
    pub rise: Option<At<u32>>,
}

/// VRRPv3 has 12 bits for hundredths of a second (RFC 5798 §5.2.7): 40.95 s.
const MAX_ADVERT_SECONDS: u32 = 40;

pub fn read_keepalived(item: &Item<'_>) -> Keepalived {
    let Some(mut fields) = Fields::of(item) else { return Keepalived::default() };
    let id = fields
        .require("virtual_router_id", "choose 1 to 255, one that no other VRRP group on this network uses");
    let mut keepalived = Keepalived {
        virtual_router_id: id.and_then(|item| router_id(&item)),
        other_virtual_router_ids: fields
            .get("other_virtual_router_ids")
            .map(|item| one_or_many(&item, router_id))
            .unwrap_or_default(),
        preempt_delay: fields.get("preempt_delay").and_then(|item| item.number(0, 1000, " seconds")),
        image_has_curl: fields.get("image_has_curl").and_then(|item| Some(item.at(item.truth()?))),
        advert_int: fields.get("advert_int").and_then(|item| item.number(1, MAX_ADVERT_SECONDS, " seconds")),
        auth_pass: fields.get("auth_pass").and_then(|item| read_secret(&item)),
        auth_hmac: fields.get("auth_hmac").and_then(|item| read_secret(&item)),
        transport: fields.get("transport").and_then(|item| {
            item.choice(&[("multicast", Transport::Multicast), ("unicast", Transport::Unicast)])
        }),
        image: fields.parse("image"),
        image_archive: fields
            .get("image_archive")
            .and_then(|item| item.parse_as("a path below base_url", "pxe/keepalived.tar")),
        install: fields.get("install").and_then(|item| {
            item.choice(&[("service", InstallAs::Service), ("quadlet", InstallAs::Quadlet)])
        }),
        ..Keepalived::default()
    };
    if let Some(mut check) = fields.get("health_check").and_then(|item| Fields::of(&item)) {
        keepalived.run_on = check
            .get("run_on")
            .and_then(|item| item.choice(&[("container", RunOn::Container), ("host", RunOn::Host)]));
        keepalived.interval = check.get("interval").and_then(|item| item.number(1, 60, " seconds"));
        keepalived.timeout = check.get("timeout").and_then(|item| item.number(1, 60, " seconds"));
        keepalived.fall = check.get("fall").and_then(|item| item.number(1, 60, " failures in a row"));
        keepalived.rise = check.get("rise").and_then(|item| item.number(1, 60, " successes in a row"));
        check.finish();
    }
    fields.finish();
    keepalived
}

fn router_id(item: &Item<'_>) -> Option<At<VirtualRouterId>> {
    item.accept(VirtualRouterId::new(item.integer()?))
}
