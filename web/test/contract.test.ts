import { expect, test } from "vitest";
import { SessionService } from "../src/gen/labelmesh/auth/v1/sessions_pb";
import { ModelService } from "../src/gen/labelmesh/inference/v1/models_pb";
import { PredictionService } from "../src/gen/labelmesh/inference/v1/predictions_pb";
import { TrainingService } from "../src/gen/labelmesh/inference/v1/trainings_pb";
import { AnnotationService } from "../src/gen/labelmesh/labeling/v1/annotations_pb";
import { StatisticsService } from "../src/gen/labelmesh/labeling/v1/statistics_pb";
import { countsAsActivity, isOpen } from "../src/rpc/activity";

test("labeling and reporting count as activity; looking, waiting and watching do not", () => {
  const active = [AnnotationService.method.submitAnnotation, AnnotationService.method.renewLeases, SessionService.method.reportActivity];
  const passive = [
    AnnotationService.method.leaseImage,
    AnnotationService.method.releaseLeases,
    SessionService.method.getSession,
    SessionService.method.signIn,
    StatisticsService.method.getStatistics,
    StatisticsService.method.watchStatistics,
    PredictionService.method.predict,
    ModelService.method.getModel,
    TrainingService.method.watchTraining,
  ];
  expect(active.map(countsAsActivity)).toEqual(active.map(() => true));
  expect(passive.map(countsAsActivity)).toEqual(passive.map(() => false));
});

test("only signing in needs no session", () => {
  expect(SessionService.methods.filter(isOpen).map((method) => method.name)).toEqual(["SignIn"]);
});
