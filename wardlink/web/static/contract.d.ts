/** What the hub sends to the ward page (JSON). Times are integer milliseconds since 1970 UTC, corrected to the patient's clock. */

export type Priority = "high" | "medium" | "low";
/** Priority as it is shown: technical alarms have a look of their own. */
export type Look = Priority | "technical";
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

export interface AlarmEvent { kind: string; at_ms: number; who?: string | null }
export interface EvidenceLead { code: string; short: string; uv_per_lsb: number; samples: number[] }
export interface Evidence {
  rule: string;
  rule_version: string;
  confidence: number | null;
  deciding_sample: number | null;
  beats: number[];
  strip: { leads: EvidenceLead[]; fs_hz: number; first_sample: number; t0_ms: number } | null;
}
export interface AlarmDetail extends Alarm { evidence: Evidence | null; events: AlarmEvent[] }

export interface Numeric { code: string; value: number | null; unit: string; at_ms: number; quality: string }
export interface Limit { code: string; low: number | null; high: number | null; unit: string }
export interface Lead { index: number; code: string; short: string }
export interface Link {
  state: "live" | "gateway_lost" | "device_silent" | "never";
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
}
export interface Snapshot {
  ward: { id: string; name: string };
  beds: Bed[];
  alarms: Alarm[];
  now_ms: number;
  last_event_id: string | number | null;
}

/** One binary message of the live connection. */
export type Frame =
  | { kind: "samples"; number: number; bed: number; lead: number; fs: number; scale: number; t0: number; first: number; samples: Int16Array }
  | { kind: "gap"; number: number; bed: number; lead: number; t0: number; end: number; reason: string };
