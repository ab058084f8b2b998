//! `consent.strings`: what consent strings and other signals of a browser mean for the purposes of the workspace.

use serde::{Deserialize, Serialize};

use super::{Purpose, Workspace};
use crate::consent::Channel;

/// `consent: {strings: {tcf, gpp, categories}}`. A purpose stands in each at most once.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Strings {
    /// `tcf.vendor`: our id in the Global Vendor List. With it a grant also needs this vendor's consent.
    pub vendor: Option<u16>,
    /// `tcf.choices`
    pub tcf: Vec<TcfChoice>,
    /// `gpp.choices`
    pub gpp: Vec<GppChoice>,
    /// `categories.choices`
    pub categories: Vec<CategoryChoice>,
}

/// What a TC string must say for one purpose: all of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TcfChoice {
    /// Our purpose.
    pub purpose: String,
    /// Of the device; none: all that reach it.
    pub channels: Vec<Channel>,
    /// TCF purposes consented to.
    pub purposes: Vec<u8>,
    /// Standard purposes consented to for the publisher itself.
    pub publisher: Vec<u8>,
    /// The publisher's own purposes consented to.
    pub custom: Vec<u8>,
    /// Special features opted in.
    pub special_features: Vec<u8>,
    /// TCF purposes on legitimate interest: a missing one is an objection; none of them grants anything.
    pub legitimate_interests: Vec<u8>,
}

/// Which opt-outs of a GPP string's sections of the United States refuse one purpose. They never grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GppChoice {
    /// Our purpose.
    pub purpose: String,
    /// Of the device, or `partner_sharing`; none: all that reach the device.
    pub channels: Vec<Channel>,
    /// Any of them is a denial.
    pub opt_outs: Vec<OptOut>,
}

/// An opt-out of the United States.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptOut {
    /// `SaleOptOut`, and `1.Y.` of the old US privacy string.
    Sale,
    /// `SharingOptOut`
    Sharing,
    /// `TargetedAdvertisingOptOut`
    TargetedAdvertising,
    /// Any `SensitiveDataProcessing` without consent, or opted out.
    Sensitive,
}

impl OptOut {
    /// With the names on the wire.
    pub const ALL: [(&'static str, OptOut); 4] = [
        ("sale", OptOut::Sale),
        ("sharing", OptOut::Sharing),
        ("targeted_advertising", OptOut::TargetedAdvertising),
        ("sensitive", OptOut::Sensitive),
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        OptOut::ALL.into_iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }
}

/// Which of Segment's `categoryPreferences` must be true for one purpose: all of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CategoryChoice {
    /// Our purpose.
    pub purpose: String,
    /// Of the device; none: all that reach it.
    pub channels: Vec<Channel>,
    /// Names as the consent platform has them.
    pub categories: Vec<String>,
}

/// Which signals the workspace reads at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SignalsRead {
    /// TC strings, alone or in a GPP string.
    pub tcf: bool,
    /// The sections of the United States in a GPP string.
    pub gpp: bool,
    /// States of Google Consent Mode.
    pub gcm: bool,
    /// Global Privacy Control.
    pub gpc: bool,
    /// Segment's categories.
    pub categories: bool,
}

impl Workspace {
    /// What TC strings mean: `consent.strings.tcf`, and `tcf` of the purposes that are not there.
    pub fn tcf_choices(&self) -> impl Iterator<Item = std::borrow::Cow<'_, TcfChoice>> {
        use std::borrow::Cow;
        let of_purposes = self.purposes.iter().filter(|purpose| !purpose.tcf.is_empty()).map(|purpose| {
            Cow::Owned(TcfChoice { purpose: purpose.key.clone(), purposes: purpose.tcf.clone(), ..TcfChoice::default() })
        });
        self.strings.tcf.iter().map(Cow::Borrowed).chain(of_purposes)
    }

    /// Purposes that Global Privacy Control denies.
    pub fn gpc_purposes(&self) -> impl Iterator<Item = &Purpose> {
        self.purposes.iter().filter(|purpose| purpose.gpc)
    }

    /// Which signals have a meaning here.
    pub fn signals_read(&self) -> SignalsRead {
        let gpc = self.gpc_purposes().next().is_some();
        SignalsRead {
            tcf: !self.strings.tcf.is_empty() || self.purposes.iter().any(|purpose| !purpose.tcf.is_empty()),
            gpp: !self.strings.gpp.is_empty() || gpc,
            gcm: self.purposes.iter().any(|purpose| !purpose.gcm.is_empty()),
            gpc,
            categories: !self.strings.categories.is_empty(),
        }
    }
}
