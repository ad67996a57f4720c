"""`why ID`: everything known about one event or payment, in order of time, and the next step if it is stuck.

ID is an event's, a payment's, a dispute's, an entry's, or a transfer's (`capture:pi_1`, or only the `re_1` of
`refund:re_1`); `namespace/ID` if several namespaces know it. No body is shown, only facts, ids and amounts.

`explain.explain` finds and explains; `operations/cli` shows the explanation as text or as the following document, to
which fields may be added, and none is removed. Times are ISO 8601 in UTC, or null. Money is three fields: `amount` in
major units as text (null if the currency's digits are not known), `amount_minor` and `currency`.

    id             the id as given
    found          true if anything is known; if not, the exit code is 1
    looked         what was searched, as sentences
    asked          {"redis": null, "postgres": null}: null if it was asked, else why not; the exit code is then 3
    notes          sentences about what was searched in part only, or could not be read
    namespaces     the namespaces that know the id, if several do; then nothing follows, and the exit code is 1
    stuck          [{about, why, next, conflict, release}]: what waits for time or a person, the reason, and the next
                   step (null: wait); the number of the conflict that stops it, and the source to release, or null
    events         [{namespace, event_id, state, sentence, type, source, provider, signed, resource, occurred_at,
                   received_at, entry_id, committed_at, marker, attempt, worker, entries, duplicates, dead_letters,
                   origin, findings, facts, facts_problem}]
      state        applied | unacknowledged | waiting | unread | dead | discarded | replayed | lost | missing | unknown
      origin       delivery, or reconcile: it was found in the provider's list; null if it never came
      marker       the gateway's duplicate marker: {state: committed | entry | none, entry_id}; null: not asked
      attempt      attempt and worker are known only while the event is pending, else null
      worker
      entries      in the stream now: [{entry_id, consumer, consumer_lives, idle_s, deliveries, lock_holder, failure:
                   null or {kind, reason, at, attempt, retry_at, since}, why}]
      duplicates   entries whose event was applied already: [{entry_id, source, received_at, recorded_at}]
      dead_letters [{id, entry_id, state, reason, attempts, died_at, state_changed_at}]
      findings     what comparisons with the provider's list found: [{source, kind: missing | extra | different,
                   difference, recorded, listed, found_at, repaired_at, entry_id, resolved_at, …}]
      facts        the facts it reports: [{kind, object, amount, amount_minor, currency, held_back, released_at}];
                   held_back: null, `unsigned` or `conflict`. facts_problem: why they cannot be extracted, or null
    payments       [{namespace, payment_id, state, transfers, conflicts, disputes}]
      state        the row as it is now, or null: {status, currency, contradicted,
                   first_occurred_at, last_occurred_at} and money for amount, captured, refunded, disputed
                   (`captured`, `captured_minor` …)
      transfers    [{movement, debit_account, credit_account, amount, amount_minor, currency, event_id, booked_at}]
      conflicts    [{id, movement, booked: null or money, reported: money, event_id, found_at, decision, decided_at}];
                   also `told`, the former name of `reported`
      disputes     [{dispute_id, amount, amount_minor, currency, opened, won, lost, withdrawn, reinstated}]
    timeline       [{at, what, event, text, actor, reason, face, operation}], the oldest first; what: accepted |
                   claimed | failed | committed | duplicate | reported | booked | held_back | released | conflict |
                   decided | dead | replayed | discarded | erased | missing | repaired | differs
      actor        who did it and why, in the console or by a command, and the number in the operators' log: null if
                   it is not an act of a person, or the log does not have it
"""
