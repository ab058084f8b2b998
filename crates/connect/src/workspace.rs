//! Destinations and activations of a workspace against the manifests of their connectors.

use jumelle_model::Workspace;
use jumelle_model::workspace::{Problem, Problems, place_of};
use serde_json::{Map, Value};

use crate::catalogue::Catalogue;
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
