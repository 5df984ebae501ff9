// The two sounds that a reader may hear. Nothing loops; a browser that wants a gesture first stays silent.
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

/** Two rising notes, 0.3 s: an offer has come. */
export function playOffer(): void {
  if (!soundOn() || typeof AudioContext === 'undefined' || !navigator.userActivation?.hasBeenActive) return;
  context ??= new AudioContext();
  note(context, 587.3, context.currentTime, 0.15);
  note(context, 880, context.currentTime + 0.15, 0.15);
}
