import { expect, test } from "vitest";
import { IdleClock } from "../src/session/idle";

const S = 1000;

test("without activity the session ends after exactly its idle time", () => {
  const clock = new IdleClock(120 * S, 0);
  expect(clock.leftMs(119 * S)).toBe(1 * S);
  expect(clock.leftMs(121 * S)).toBe(0);
});

test("the countdown is shown in the last twenty seconds only", () => {
  const clock = new IdleClock(120 * S, 0);
  expect(clock.warns(99 * S)).toBe(false);
  expect(clock.warns(100 * S)).toBe(true);
});

test("input is reported at once when the server has not heard for twenty seconds", () => {
  const clock = new IdleClock(120 * S, 0);
  clock.input(25 * S);
  expect(clock.reportIsDue(25 * S)).toBe(true);
});

test("input for five minutes is reported every twenty seconds and keeps the session", () => {
  const clock = new IdleClock(120 * S, 0);
  const reports: number[] = [];
  for (let now = 0; now <= 300 * S; now += S / 2) {
    clock.input(now);
    if (clock.reportIsDue(now)) {
      clock.reporting(now);
      clock.confirm(now);
      reports.push(now);
    }
    expect(clock.warns(now)).toBe(false);
  }
  expect(reports).toHaveLength(15);
});

test("a page without input reports nothing", () => {
  const clock = new IdleClock(120 * S, 0);
  expect(clock.reportIsDue(60 * S)).toBe(false);
  clock.input(70 * S);
  clock.reporting(70 * S);
  clock.confirm(70 * S);
  expect(clock.reportIsDue(110 * S)).toBe(false);
});

test("a report that did not arrive is sent again", () => {
  const clock = new IdleClock(120 * S, 0);
  clock.input(30 * S);
  clock.reporting(30 * S);
  expect(clock.reportIsDue(40 * S)).toBe(false);
  expect(clock.reportIsDue(50 * S)).toBe(true);
});

test("input during the countdown is reported at once, and until it arrives every second", () => {
  const clock = new IdleClock(120 * S, 0);
  clock.input(85 * S);
  clock.reporting(90 * S);
  clock.input(105 * S);
  expect(clock.reportIsDue(105 * S)).toBe(true);
  clock.reporting(105 * S);
  expect(clock.reportIsDue(105.5 * S)).toBe(false);
  expect(clock.reportIsDue(106 * S)).toBe(true);
  clock.confirm(106 * S);
  expect(clock.warns(107 * S)).toBe(false);
});

test("a short idle time shortens the countdown and the pause between reports", () => {
  const clock = new IdleClock(12 * S, 0);
  expect(clock.reportEveryMs).toBe(2 * S);
  expect(clock.warns(5 * S)).toBe(false);
  expect(clock.warns(6 * S)).toBe(true);
});

test("news of older activity does not shorten the session", () => {
  const clock = new IdleClock(120 * S, 50 * S);
  clock.confirm(10 * S);
  expect(clock.leftMs(50 * S)).toBe(120 * S);
});
