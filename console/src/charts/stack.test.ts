import { expect, it } from "vitest";
import { labelledSteps, stacked } from "./stack";

it("lays series on top of each other", () => {
  expect(stacked([[1, 2], [3, 0], [0, 5]])).toEqual([[1, 2], [4, 2], [4, 7]]);
  expect(stacked([])).toEqual([]);
});

it("labels as many steps as there is room for, the newest always", () => {
  expect(labelledSteps(4, 400, 50)).toEqual([0, 1, 2, 3]);
  expect(labelledSteps(60, 600, 60)).toEqual([5, 11, 17, 23, 29, 35, 41, 47, 53, 59]);
  expect(labelledSteps(3, 10, 60)).toEqual([2]);
  expect(labelledSteps(0, 10, 60)).toEqual([]);
});
