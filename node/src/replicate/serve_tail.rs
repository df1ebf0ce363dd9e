//! Telling other brokers what the cluster decides.

use highwater_env::{BoxFuture, EnvExt};

use crate::{
    Node,
    first_of::first_of,
    peers::{MetadataTail, MetadataTailError, MetadataTailed},
};

impl Node {
    /// Tells what comes after an entry: at once if there is anything, else when there is or the time is over. Only what
    /// this broker has applied is told, so what others add up is what it has been here.
    ///
    /// # Errors
    /// [`MetadataTailError`].
    pub fn serve_metadata_tail(
        &self,
        request: MetadataTail,
    ) -> BoxFuture<'_, Result<MetadataTailed, MetadataTailError>> {
        Box::pin(async move {
            let membership = self.membership.as_ref().ok_or(MetadataTailError::NotServing)?;
            let image = self.image();
            let expected = image.cluster_id().ok_or(MetadataTailError::NotServing)?;
            if let Some(found) = request.cluster_id.filter(|found| found != expected) {
                return Err(MetadataTailError::OtherCluster { found, expected: expected.to_owned() });
            }
            let wait = self.env.sleep(request.max_wait.min(membership.times.answer));
            first_of(self.stops(), first_of(self.cluster.wait_after(request.after), wait)).await;
            if self.is_stopping() {
                return Err(MetadataTailError::NotServing);
            }
            let leadership = self.cluster.log().leadership();
            Ok(MetadataTailed {
                news: self.cluster.news_after(request.after, request.max_records),
                term: leadership.term,
                leader: leadership.leader,
                committed: self.cluster.log().committed(),
            })
        })
    }
}
