//! Canaries behind an HTTPRoute of the Gateway API, with Traefik as the gateway.

use std::sync::Arc;

use anyhow::Result;

use super::canary;
use super::router::Router;
use crate::scene::Scene;

pub(super) async fn gets_its_share_and_loses_nothing(scene: Arc<Scene>) -> Result<()> {
    canary::is_promoted(scene, Router::Gateway).await
}

pub(super) async fn gives_the_traffic_back_when_aborted(scene: Arc<Scene>) -> Result<()> {
    canary::is_aborted(scene, Router::Gateway).await
}
