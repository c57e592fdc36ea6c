/** What the hub sends to the ward page (JSON). Times are integer milliseconds since 1970 UTC, corrected to the patient's clock. */

export type Priority = "high" | "medium" | "low";
/** Priority as it is shown: technical alarms have a look of their own. */
export type Look = Priority | "technical";
/** What an alarm is about (AlarmCategory of protocols/nomenclature.py): each has its melody. */
export type Category = "general" | "cardiac" | "ventilation" | "oxygen" | "temperature" | "equipment";
export type Value = string | number;

export interface Alarm {
  id: string;
  bed: string;
  code: string;
  priority: Priority;
  kind: "physiological" | "technical";
  presence: "present" | "latched" | "ended";
  onset_ms: number;
  detected_ms: number;
  stored_ms: number;
  params: Record<string, Value | boolean | null>;
  acknowledged: { by: string; at_ms: number } | null;
  source: string;
}

/** What sounds. */
export interface Heard { priority: "high" | "medium"; category: Category }

export interface AlarmEvent { kind: string; at_ms: number; who?: string | null }
export interface EvidenceLead { code: string; short: string; uv_per_lsb: number; samples: number[] }
/** What was seen, what that added to the score of a model, and the value read off in `unit` (UCUM). */
export interface Reason { code: string; weight: number; value: number | null; unit: string }
/** A stretch of samples that was judged; `leads` (MDC) empty: all of them. */
export interface Span { kind: string; from_sample: number; to_sample: number; from_ms: number | null; to_ms: number | null; leads: string[] }
/** `models`, `beat_classes`, `spans` and `reasons` are not there from a gateway of an older release. */
export interface Evidence {
  rule: string;
  rule_version: string;
  models?: { name: string; version: string; sha256: string }[];
  beat_classes?: string[];
  spans?: Span[];
  reasons?: Reason[];
  confidence: number | null;
  deciding_sample: number | null;
  beats: number[];
  strip: { leads: EvidenceLead[]; fs_hz: number; first_sample: number; t0_ms: number } | null;
}
export interface AlarmDetail extends Alarm { evidence: Evidence | null; events: AlarmEvent[] }

export interface Numeric { code: string; value: number | null; unit: string; at_ms: number; quality: string }
export interface Bounds { low: number | null; high: number | null }
/** `bed` is there when the limits are the patient's own: what the bed has. `unwatched`: the gateway does not watch it, and why. */
export interface Limit extends Bounds { code: string; unit: string; bed?: Bounds; unwatched?: string }
export interface Lead { index: number; code: string; short: string; source?: string }
export interface Link {
  state: "live" | "gateway_lost" | "device_silent" | "never" | "recordings";
  since_ms: number;
  gateway: string;
  device: string;
}
export interface Bed {
  key: number;
  id: string;
  label: string;
  who: { masked_name: string; age: number | null; sex: string | null } | null;
  leads: Lead[];
  numerics: Numeric[];
  limits: Limit[];
  link: Link;
  /** The newest resting ECG of the stay: a document, never live. */
  ecg?: EcgRef | null;
}
export interface EcgRef { id: number; at_ms: number; device: string }
export interface EcgLead { code: string; short: string; uv_per_lsb: number; samples: number[] }
export interface Reading {
  beats: number; rate_per_min: number | null; p_ms: number | null; pr_ms: number | null; qrs_ms: number | null;
  qt_ms: number | null; qtc_bazett_ms: number | null; qtc_fridericia_ms: number | null; st_mv: Record<string, number>;
  swap: { which: string; probability: number; sure: boolean; doubts: string[] } | null;
}
export interface Ecg extends EcgRef {
  ward: { id: string; name: string };
  bed: string;
  who: Bed["who"];
  cart: Record<string, string>;
  fs_hz: number;
  leads: EcgLead[];
  measurements: { code: string; value: number; unit: string }[];
  statements: { kind: string; text: string }[];
  critical: { code: string; value: number; unit: string; level: "red" | "yellow"; bound: number; side: "low" | "high"; item: string; table: number }[];
  reading: Reading | null;
  others: EcgRef[];
}
export interface Snapshot {
  ward: { id: string; name: string };
  beds: Bed[];
  alarms: Alarm[];
  /** How the characters of names and alarms are read, without tones. */
  spelt?: Record<string, string[]>;
  now_ms: number;
  last_event_id: string | number | null;
  /** On a gateway's own page: how its machine is. */
  gateway?: Vitals;
}
export interface Vitals { cpu_percent?: number; memory_percent?: number; disk_percent?: number; temperature_c?: number; warnings: string[] }

/** An alarm of the past with when its condition was over. */
export interface Past extends Alarm { condition_ended_ms: number | null }
export interface Gap { source: string; from_ms: number; to_ms: number; reason: string }
export interface Series {
  code: string; unit: string; source: string; site: string;
  at_ms: number[]; min: (number | null)[]; max: (number | null)[]; mean: (number | null)[]; n: number[]; unusable: number[];
}
export interface TrendsAnswer { from_ms: number; to_ms: number; bucket_ms: number; series: Series[]; gaps: Gap[]; alarms: Past[]; notes: Note[] }
export interface Note { id: number; at_ms: number; written_ms: number; by: string; text: string }
export interface VitalSign { code: string; unit: string; min: number; max: number; mean: number; source: string; site: string; n: number }
export type Lying = "supine" | "prone" | "left_side" | "right_side" | "reclined" | "upright" | "head_down";
export interface Posture { kind: "posture"; degrees: number; source: string; posture: Lying | null; before: Lying | null }
/** An alarm that a pulse spoke against: held back then, or raised all the same. `device`: whose pulse, null where it is the ECG's own. */
export interface Doubted { kind: "doubted"; source: string; alarm: string; held: boolean; why: string; pulse_per_min: number | null; device: string | null }
export interface Episode { kind: "rhythm"; source: string; code: string; until_ms: number | null; goes_on: boolean; experimental: boolean; times: number | null; beats: number | null; beats_per_min: number | null; pause_s: number | null }
export type Entry = { at_ms: number } & (
  | { kind: "vital_signs"; step_ms: number; values: VitalSign[] }
  | { kind: "alarm"; alarm: Past }
  | Doubted
  | Episode
  | Posture
  | { kind: "note"; note: Note }
);
export interface BedDevice {
  id: number; name: string; title: string; state: string; gateway: string; door: string;
  battery_percent: number | null; battery_low: boolean; last_seen_ms: number | null;
}
export interface BedDetail {
  key: number; id: string; since_ms: number | null; leads: Lead[]; measures: string[]; devices: BedDevice[];
  may: { timeline: boolean; note: boolean; ledger: boolean; limits: boolean; admit: boolean };
}
export interface LimitRow {
  code: string; unit: string; least: number | null; most: number | null; step: number; bed: Bounds; unwatched: string | null;
  own: (Bounds & { by: string; at_ms: number }) | null;
}
export interface LimitsAnswer { since_ms: number | null; limits: LimitRow[] }
/** Where a gateway's own page is, and the ticket that lets this person in there while the hub is away. */
export interface GatewayPage { name: string; origin: string; beds: string[]; ticket: string; not_after_ms: number }

/** One binary message of the live connection. */
export type Frame =
  | { kind: "samples"; number: number; bed: number; lead: number; fs: number; scale: number; t0: number; first: number; clock: number; samples: Int16Array }
  | { kind: "gap"; number: number; bed: number; lead: number; t0: number; end: number; reason: string };
