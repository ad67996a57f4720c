"""Known answers that the senders published, restated here; they cannot share a mistake of ours."""

import json

import pytest

from tests.support.cases.base import Signed
from tests.support.provider_cases import CASES

GITHUB = "docs.github.com, Validating webhook deliveries"
OCTOKIT = "octokit/webhooks-methods.js, test"
RAZORPAY = "razorpay-python, tests/test_client_utility.py and its fake_payment_authorized_webhook.json"
GOCARDLESS = "gocardless-pro-python, tests/webhooks_test.py and its fixture without the last newline"
PAGARME = "pagarme-python, tests/postback_test.py"
SHOPIFY = "shopify-api-php, tests/Webhooks/RegistryTest.php, with the secret of its BaseTestCase.php"

RAZORPAY_PAYMENT = {
    "id": "pay_6koWN7bvxujzxM",
    "entity": "payment",
    "amount": 1000000,
    "currency": "INR",
    "status": "captured",
    "order_id": "order_100000000order",
    "international": False,
    "method": "card",
    "amount_refunded": 0,
    "refund_status": None,
    "captured": True,
    "description": "random description",
    "card_id": "card_6koWNAT6LASUqy",
    "bank": None,
    "wallet": None,
    "vpa": None,
    "email": "a@b.com",
    "contact": "+919999999999",
    "notes": {"merchant_order_id": "random order id"},
    "fee": 23000,
    "service_tax": 3000,
    "error_code": None,
    "error_description": None,
    "created_at": 1479978483,
}
RAZORPAY_EVENT = {
    "event": "payment.authorized",
    "entity": "event",
    "contains": ["payment"],
    "payload": {"payment": {"entity": RAZORPAY_PAYMENT}},
    "created_at": 1400826760,
}


def gocardless_event(number: str, created_at: str, kind: str, resource: str) -> dict[str, object]:
    details = {"origin": "api", "cause": f"{kind}_created", "description": f"{kind.title()} created via the API."}
    event = {"id": number, "created_at": created_at, "resource_type": f"{kind}s", "action": "created"}
    return {**event, "links": {kind: resource}, "details": details, "metadata": {}}


GOCARDLESS_BATCH = {
    "events": [
        gocardless_event("EV00BD05S5VM2T", "2018-07-05T09:13:51.404Z", "subscription", "SB0003JJQ2MR06"),
        gocardless_event("EV00BD05TB8K63", "2018-07-05T09:13:56.893Z", "mandate", "MD000AMA19XGEC"),
    ]
}

PAGARME_FORM = (
    "id=2727403&fingerprint=bbf609f80b08e14b706cfdcb0d07948d5fafe42e&event=transaction_status_changed&old_status=proc"
    "essing&desired_status=waiting_payment&current_status=waiting_payment&object=transaction&transaction%5Bobject%5D="
    "transaction&transaction%5Bstatus%5D=waiting_payment&transaction%5Brefuse_reason%5D=&transaction%5Bstatus_reason%"
    "5D=acquirer&transaction%5Bacquirer_response_code%5D=&transaction%5Bacquirer_name%5D=pagarme&transaction%5Bacquir"
    "er_id%5D=5a54a9e61aac296c19e4c838&transaction%5Bauthorization_code%5D=&transaction%5Bsoft_descriptor%5D=&transac"
    "tion%5Btid%5D=2727403&transaction%5Bnsu%5D=2727403&transaction%5Bdate_created%5D=2018-01-09T11%3A41%3A26.624Z&tr"
    "ansaction%5Bdate_updated%5D=2018-01-09T11%3A41%3A27.216Z&transaction%5Bamount%5D=1000&transaction%5Bauthorized_a"
    "mount%5D=1000&transaction%5Bpaid_amount%5D=0&transaction%5Brefunded_amount%5D=0&transaction%5Binstallments%5D=1&"
    "transaction%5Bid%5D=2727403&transaction%5Bcost%5D=0&transaction%5Bcard_holder_name%5D=&transaction%5Bcard_last_d"
    "igits%5D=&transaction%5Bcard_first_digits%5D=&transaction%5Bcard_brand%5D=&transaction%5Bcard_pin_mode%5D=&trans"
    "action%5Bpostback_url%5D=https%3A%2F%2Frequestb.in%2F1234&transaction%5Bpayment_method%5D=boleto&transaction%5Bc"
    "apture_method%5D=ecommerce&transaction%5Bantifraud_score%5D=&transaction%5Bboleto_url%5D=https%3A%2F%2Fpagar.me&"
    "transaction%5Bboleto_barcode%5D=1234%205678&transaction%5Bboleto_expiration_date%5D=2018-01-16T02%3A00%3A00.000Z"
    "&transaction%5Breferer%5D=api_key&transaction%5Bip%5D=179.191.121.66&transaction%5Bsubscription_id%5D=&transacti"
    "on%5Bphone%5D=&transaction%5Baddress%5D=&transaction%5Bcustomer%5D%5Bobject%5D=customer&transaction%5Bcustomer%5"
    "D%5Bid%5D=442866&transaction%5Bcustomer%5D%5Bexternal_id%5D=&transaction%5Bcustomer%5D%5Btype%5D=&transaction%5B"
    "customer%5D%5Bcountry%5D=&transaction%5Bcustomer%5D%5Bdocument_number%5D=11111111111&transaction%5Bcustomer%5D%5"
    "Bdocument_type%5D=cpf&transaction%5Bcustomer%5D%5Bname%5D=Leonardim%20de%20Deos&transaction%5Bcustomer%5D%5Bemai"
    "l%5D=&transaction%5Bcustomer%5D%5Bphone_numbers%5D=&transaction%5Bcustomer%5D%5Bborn_at%5D=&transaction%5Bcustom"
    "er%5D%5Bbirthday%5D=&transaction%5Bcustomer%5D%5Bgender%5D=&transaction%5Bcustomer%5D%5Bdate_created%5D=2018-01-"
    "09T11%3A41%3A26.583Z&transaction%5Bbilling%5D=&transaction%5Bshipping%5D=&transaction%5Bcard%5D=&transaction%5Bs"
    "plit_rules%5D=&transaction%5Breference_key%5D=&transaction%5Bdevice%5D=&transaction%5Blocal_transaction_id%5D=&t"
    "ransaction%5Blocal_time%5D=&transaction%5Bfraud_covered%5D=false"
)

PUBLISHED = {
    GITHUB: (
        "github",
        "It's a Secret to Everybody",
        b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "Hello, World!",
    ),
    OCTOKIT: (
        "github",
        "mysecret",
        b"sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3",
        '{"foo":"bar"}',
    ),
    RAZORPAY: (
        "razorpay",
        "key_secret",
        b"d60e67fd884556c045e9be7dad57903e33efc7172c17c6e3ef77db42d2b366e9",
        json.dumps(RAZORPAY_EVENT, indent=2) + "\n",
    ),
    GOCARDLESS: (
        "gocardless",
        "ED7D658C-D8EB-4941-948B-3973214F2D49",
        b"2693754819d3e32d7e8fcb13c729631f316c6de8dc1cf634d6527f1c07276e7e",
        json.dumps(GOCARDLESS_BATCH, separators=(",", ":")),
    ),
    PAGARME: (
        "pagarme",
        "ak_test_21eI4THNDJx7vkJRuAmXYlFACIaxnS",
        b"sha1=1b66c265fdac6a903d2aecd01290a26a17c246fd",
        PAGARME_FORM,
    ),
    SHOPIFY: ("shopify", "steffi", b"/Redz4YXHLnSmmSN8grr5/Jl/Ua3d7yX3iWbjb8R8wo=", '{"foo":"bar"}'),
}


@pytest.mark.parametrize("source", PUBLISHED)
async def test_a_published_example_passes(source: str) -> None:
    provider, secret, signature, body = PUBLISHED[source]
    case = CASES[provider]
    deliveries = await case.source(secret).verify(Signed([(case.signature, signature)], body.encode()).request())
    assert deliveries
    assert all(delivery.secret_number == 1 for delivery in deliveries)
