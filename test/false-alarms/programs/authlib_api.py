"""
Authlib's ResourceProtector in Flask. Its documentation leaves the keys to the application: JWTs are verified with the published
keys, fetched at the start, and with claims options for the issuer and the audience. INTROSPECT: tokens are introspected.
"""
import json
import os
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.jose import JsonWebKey
from authlib.oauth2.rfc7523 import JWTBearerTokenValidator
from authlib.oauth2.rfc7662 import IntrospectTokenValidator
from flask import Flask, jsonify
from authlib.integrations.flask_oauth2 import current_token

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]


class JwtValidator(JWTBearerTokenValidator):
    def __init__(self):
        keys = json.loads(urlopen(ISSUER + "/keys").read())
        super().__init__(JsonWebKey.import_key_set(keys))
        self.claims_options = {
            "exp": {"essential": True},
            "aud": {"essential": True, "value": AUDIENCE},
            "iss": {"essential": True, "value": ISSUER},
        }


class Introspector(IntrospectTokenValidator):
    def introspect_token(self, token_string):
        body = urlencode({"token": token_string}).encode()
        return json.loads(urlopen(Request(ISSUER + "/introspect", body)).read())


require_oauth = ResourceProtector()
require_oauth.register_token_validator(Introspector() if "INTROSPECT" in os.environ else JwtValidator())
app = Flask(__name__)


@app.route("/orders")
@require_oauth(None)
def orders():
    return jsonify(subject=current_token.get("sub"))


app.run(host="127.0.0.1", port=int(os.environ["PORT"]), threaded=True)
