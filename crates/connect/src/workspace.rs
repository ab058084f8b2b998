//! Destinations and activations of a workspace against the manifests of their connectors.

use jumelle_model::Workspace;
use jumelle_model::consent::Basis;
use jumelle_model::workspace::{Problem, Problems, place_of};
use serde_json::{Map, Value};

use crate::catalogue::Catalogue;
use crate::manifest::SettingType;
use crate::problem::Fault;

/// What does not hold in destinations and activations of declared connectors. `text`: where the definitions are written, for places.
pub fn check_workspace(catalogue: &Catalogue, workspace: &Workspace, text: &str) -> Result<(), Problems> {
    let mut faults = Vec::new();
    for destination in
        workspace.destinations.iter().filter(|destination| !["webhook", "file"].contains(&destination.connector.as_str()))
    {
        let path = format!("destinations.{}", destination.key);
        let settings: Map<String, Value> = destination
            .settings
            .iter()
            .map(|(name, text)| (name.clone(), serde_json::from_str(text).unwrap_or_default()))
            .collect();
        let nested = place_of(text, &format!("{path}.settings")) != place_of(text, &path);
        let prefix = if nested { format!("{path}.settings") } else { path.clone() };
        for fault in catalogue.check(&destination.connector, &settings) {
            let at = if fault.path == "connector" { path.clone() } else { prefix.clone() };
            faults.push(Fault::at(format!("{at}.{}", fault.path), fault.message));
        }
        let Some(connector) = catalogue.get(&destination.connector) else { continue };
        if connector.is_native() && !destination.url.is_empty() {
            let message =
                format!("{} has its address among its settings; base_url is for web addresses", connector.manifest.name);
            faults.push(Fault::at(format!("{path}.base_url"), message));
        }
        for (name, value) in &settings {
            if connector.manifest.settings.get(name).is_some_and(|setting| setting.secret) && !value.is_object() {
                faults
                    .push(Fault::at(format!("{prefix}.{name}"), "it is a secret: write {env: NAME}, which keeps it out of here"));
            }
        }
    }
    for activation in &workspace.activations {
        let Some(destination) = workspace.destination(&activation.destination) else { continue };
        let Some(connector) = catalogue.get(&destination.connector) else { continue };
        let path = format!("activations.{}", activation.key);
        let map: Vec<&str> = activation.map.iter().map(|(field, _)| field.as_str()).collect();
        if let Some(missing) = connector.missing_in(&map) {
            faults.push(Fault::at(format!("{path}.map"), missing));
        }
        for (name, text) in &destination.settings {
            let setting = connector.manifest.settings.get(name);
            let written: Value = serde_json::from_str(text).unwrap_or_default();
            if setting.is_some_and(|setting| setting.kind == SettingType::Fields) {
                let named: Vec<&str> = written.as_str().unwrap_or_default().split(',').map(str::trim).collect();
                for field in map.iter().filter(|field| !named.contains(field) && !connector.reads().contains(*field)) {
                    let message = format!("{field} is mapped, and the {name} of {} do not name it", destination.key);
                    faults.push(Fault::at(format!("{path}.map"), message));
                }
            }
            if setting.is_none_or(|setting| setting.kind != SettingType::Template) {
                continue;
            }
            // What does not hold in the text itself is said above.
            let Ok(line) = crate::settings::template(written.as_str().unwrap_or_default()) else { continue };
            for field in line.needed().filter(|path| path.root() == "data").filter_map(|path| path.member()) {
                if !map.contains(&field) {
                    let message = format!(
                        "the {name} of {} reads ${{data.{field}}}: map {field} here, or write there what stands for it, ${{data.{field}|or …}}",
                        destination.key
                    );
                    faults.push(Fault::at(format!("{path}.map"), message));
                }
            }
        }
        let asks = workspace
            .purpose(&activation.purpose)
            .is_some_and(|purpose| !matches!(purpose.basis, Basis::Contract | Basis::LegalObligation));
        if connector.says_how_to_stop && asks && workspace.preferences.url.is_none() {
            let message = format!("what {} sends carries the link that stops it: say preferences.url", connector.manifest.name);
            faults.push(Fault::at(format!("{path}.destination"), message));
        }
        let channels = &connector.manifest.channels;
        if !channels.is_empty()
            && ![activation.channel, activation.channel.like()]
                .iter()
                .any(|of| channels.iter().any(|channel| channel == of.as_str()))
        {
            let message = format!("{} serves {}", connector.manifest.name, channels.join(", "));
            faults.push(Fault::at(format!("{path}.channel"), message));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let problem = |fault: Fault| {
        let (line, column) = place_of(text, &fault.path);
        Problem { line, column, path: fault.path, message: fault.message }
    };
    Err(Problems(faults.into_iter().map(problem).collect()))
}
