// The routing table.
import { BucketMap, chosen, describe, meanings, type State, stateOf } from "./buckets";
import { count, plural, span } from "./format";
import { Figure, Panel } from "./parts";
import { to } from "./route";
import { now, table, terms } from "./state";

export function TableScreen() {
  const t = table.value;
  const all = t?.buckets.flatMap((b) => b.members) ?? [];
  const tally = (s: State) => all.filter((m) => stateOf(m, now.value) === s).length;
  return (
    <>
      <dl class="figures">
        <Figure label="Members" value={count(t?.members ?? 0)} more={plural(t?.buckets.length ?? 0, "bucket")} />
        <Figure label="Fresh" value={tally("fresh") + tally("probing")} more={`heard of within ${span(terms.value.suspect_ms)}`} />
        <Figure label="Quiet or stale" value={tally("quiet") + tally("stale")} more={`probed after ${span(terms.value.probe_ms)}`} />
        <Figure label="In doubt" value={tally("doubted")} more="failed since heard of" />
        <Figure label="Replacements" value={t?.buckets.reduce((n, b) => n + b.waiting.length, 0) ?? 0} more="wait for a place" />
      </dl>
      <div class="with-side">
        <Panel title="Buckets by prefix length" aside={<span class="quiet-text">half of all keys are in row 0, a quarter in row 1, and so on; arrow keys go from peer to peer</span>}>
          <BucketMap />
          <Legend />
        </Panel>
        <Chosen />
      </div>
    </>
  );
}

function Legend() {
  return (
    <ul class="legend">
      {(Object.keys(meanings) as (keyof typeof meanings)[]).map((k) => <li key={k}><i class={`cell ${k === "waiting" ? "replacement" : k}`} aria-hidden="true" />{meanings[k]}</li>)}
      <li><i class="cell fresh connected" aria-hidden="true" />with a dot: connected</li>
    </ul>
  );
}

function Chosen() {
  const bucket = table.value?.buckets.find((b) => b.members.some((m) => m.id === chosen.value));
  const member = bucket?.members.find((m) => m.id === chosen.value);
  return (
    <Panel title="Peer">
      {bucket && member ? (
        <dl class="facts" aria-live="polite">
          <dt>Id</dt><dd><code class="whole">{member.id}</code></dd>
          {describe(member, bucket, now.value).map(([name, text]) => <><dt key={name}>{name}</dt><dd>{text}</dd></>)}
          <dt>More</dt><dd><a href={to("peers", member.id)}>its addresses and agent</a></dd>
        </dl>
      ) : <p class="empty">Choose a peer in the map.</p>}
    </Panel>
  );
}
