"""`why ID`: everything known about one event or payment, in order of time, and the next step where it is stuck.

ID is an event's, a payment's, a dispute's, an entry's, or a movement's (`capture:pi_1`, or only the `re_1` of
`refund:re_1`); `namespace/ID` where several namespaces know it. No body is shown: facts, ids and amounts only.

What `--json` prints stays as it is; more may be added. Times are ISO 8601 in UTC, or null. Money is three fields:
`amount` in major units as text (null where the currency's digits are not known), `amount_minor` and `currency`.

    id             as it was asked for
    found          whether anything is known; where not, `looked` says where was looked, and the exit code is 1
    looked         the places, as sentences
    asked          {"redis": null, "postgres": null}: null where it was asked, else why not; the exit code is then 3
    notes          what could not be looked at to its end, or read
    namespaces     where the id is ambiguous, those that know it; then nothing follows, and the exit code is 1
    stuck          [{about, why, next}], what waits for time or for a person: the reason, and the step (null: wait)
    events         [{namespace, event_id, state, sentence, type, source, provider, signed, resource, occurred_at,
                   received_at, entry_id, committed_at, marker, attempt, worker, entries, duplicates, dead_letters,
                   facts, facts_problem}]
      state        applied | unacknowledged | waiting | unread | dead | discarded | replayed | lost | unknown
      marker       what the gateway answers duplicates by: {state: committed | entry | none, entry_id}; null: not asked
      attempt      the attempt and the worker are known only while the event waits; null: not kept
      worker
      entries      in the stream now: [{entry_id, consumer, consumer_lives, idle_s, deliveries, lock_holder, failure:
                   null or {kind, reason, at, attempt, retry_at, since}, why}]
      duplicates   entries found applied already: [{entry_id, source, received_at, recorded_at}]
      dead_letters [{id, entry_id, state, reason, attempts, died_at, state_changed_at}]
      facts        what the event tells: [{kind, object, amount, amount_minor, currency, held_back, released_at}];
                   held_back: null, or `unsigned` or `conflict`. facts_problem: why they cannot be told, or null
    payments       [{namespace, payment_id, state, transfers, conflicts, disputes}]
      state        the row as it is now, null where there is none: {status, currency, contradicted,
                   first_occurred_at, last_occurred_at} and money for amount, captured, refunded, disputed
                   (`captured`, `captured_minor` …)
      transfers    [{movement, debit_account, credit_account, amount, amount_minor, currency, event_id, booked_at}]
      conflicts    [{id, movement, booked: null or money, told: money, event_id, found_at, decision, decided_at}]
      disputes     [{dispute_id, amount, amount_minor, currency, opened, won, lost, withdrawn, reinstated}]
    timeline       [{at, what, event, text}], the oldest first; what: accepted | claimed | failed | committed |
                   duplicate | told | booked | held_back | released | conflict | decided | dead | replayed | discarded
"""
