//! The storage shared by all generations of the server: a new key or resource starts a new generation.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use oauth_as::authorization::{AuthorizationCodeRecord, AuthorizationCodeState};
use oauth_as::device::{DeviceGrant, DeviceGrantState};
use oauth_as::store::{MemoryStorage, RevocationWindow, Storage, StorageError, WriteOutcome};
use oauth_as::token::{IssuedToken, RefreshTokenRecord};
use oauth_as::{Client, ClientId};

#[derive(Clone, Default)]
pub(super) struct SharedStorage(Arc<MemoryStorage>);

macro_rules! forward {
    ($($method:ident($($name:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $method(
            &self,
            $($name: $type),*
        ) -> impl Future<Output = Result<$result, StorageError>> + Send {
            self.0.$method($($name),*)
        })*
    };
}

// Forwards every method, also those with a default: the default of `rotate_refresh_token` refuses.
impl Storage for SharedStorage {
    forward! {
        get_client(id: &ClientId) -> Option<Arc<Client>>;
        put_client(client: Client) -> ();
        compare_and_swap_client(expected: &Client, updated: Client) -> bool;
        delete_client(id: &ClientId, window: RevocationWindow) -> bool;
        put_device_grant(grant: DeviceGrant) -> ();
        get_device_grant(code: &str) -> Option<DeviceGrant>;
        find_device_grant_by_user_code(code: &str) -> Option<DeviceGrant>;
        take_device_grant(code: &str) -> Option<DeviceGrant>;
        compare_and_swap_device_grant(expected: &DeviceGrantState, updated: DeviceGrant) -> bool;
        put_authorization_code(record: AuthorizationCodeRecord) -> ();
        compare_and_swap_authorization_code(
            expected: &AuthorizationCodeState,
            updated: AuthorizationCodeRecord
        ) -> bool;
        take_authorization_code(code: &str) -> Option<AuthorizationCodeRecord>;
        put_token(token: IssuedToken) -> WriteOutcome;
        get_token(token: &str) -> Option<Arc<IssuedToken>>;
        delete_token(token: &str) -> ();
        put_refresh_token(record: RefreshTokenRecord) -> WriteOutcome;
        get_refresh_token(token: &str) -> Option<Arc<RefreshTokenRecord>>;
        rotate_refresh_token(
            expected: &RefreshTokenRecord,
            spent: &RefreshTokenRecord,
            access: &IssuedToken,
            next: Option<&RefreshTokenRecord>
        ) -> bool;
        take_refresh_token(token: &str) -> Option<RefreshTokenRecord>;
        revoke_token_family(family: &str, window: RevocationWindow) -> u64;
        sweep_expired(now: SystemTime) -> u64;
    }
}
