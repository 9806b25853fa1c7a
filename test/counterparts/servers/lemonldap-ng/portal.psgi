# The portal alone, which is the OpenID Connect provider.
use Lemonldap::NG::Portal::Main;

Lemonldap::NG::Portal::Main->run({});
