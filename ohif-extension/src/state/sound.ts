// The sounds that a reader or a manager may hear. Nothing loops; a browser that wants a gesture first stays silent.
import { pref, setPref } from './prefs';

let context: AudioContext | null = null;

/** Whether sounds are on. */
export function soundOn(): boolean {
  return pref('sound', true);
}

/** Turn sounds on or off. */
export function setSound(on: boolean): void {
  setPref('sound', on);
}

function note(at: AudioContext, hz: number, startS: number, lengthS: number): void {
  const tone = at.createOscillator();
  const level = at.createGain();
  tone.frequency.value = hz;
  level.gain.setValueAtTime(0, startS);
  level.gain.linearRampToValueAtTime(0.12, startS + 0.02);
  level.gain.linearRampToValueAtTime(0, startS + lengthS);
  tone.connect(level).connect(at.destination);
  tone.start(startS);
  tone.stop(startS + lengthS);
}

function speaker(): AudioContext | null {
  if (!soundOn() || typeof AudioContext === 'undefined' || !navigator.userActivation?.hasBeenActive) return null;
  context ??= new AudioContext();
  return context;
}

/** Two rising notes, 0.3 s: an offer has come. */
export function playOffer(): void {
  const at = speaker();
  if (!at) return;
  note(at, 587.3, at.currentTime, 0.15);
  note(at, 880, at.currentTime + 0.15, 0.15);
}

/** One low note: a clock has run out. */
export function playBreach(): void {
  const at = speaker();
  if (at) note(at, 196, at.currentTime, 0.4);
}
